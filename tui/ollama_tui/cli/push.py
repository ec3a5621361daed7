"""`push`: a model to the registry that its name says."""

from __future__ import annotations

import click

from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.transfer import push
from ollama_tui.cli.work import with_engine


@click.command("push")
@click.argument("model", shell_complete=complete_model)
@click.option("--insecure", is_flag=True, help="Use plain http: for a registry of your own network.")
@click.pass_obj
def command(invocation: Invocation, model: str, insecure: bool) -> None:
    """Push a model to a registry: to HOST/NAMESPACE/MODEL, as `ollama-tui cp` can name it first."""
    with_engine(invocation, lambda engine: push(engine, model, insecure=insecure))
