"""`pull`: a model from its registry. Interrupted, the same command goes on from there."""

from __future__ import annotations

import click

from ollama_tui.cli.root import Invocation
from ollama_tui.cli.transfer import pull
from ollama_tui.cli.work import with_engine


@click.command("pull")
@click.argument("model")
@click.option("--insecure", is_flag=True, help="Use plain http: for a registry of your own network.")
@click.pass_obj
def command(invocation: Invocation, model: str, insecure: bool) -> None:
    """Pull a model from a registry, or bring it up to date.

    MODEL is a name at registry.ollama.ai (llama3.2:1b), hf.co/USER/REPOSITORY:QUANTIZATION, or HOST/NAMESPACE/MODEL; or
    the URL of a .gguf file, whose model is named after the file. One of several shards brings them all.
    """
    with_engine(invocation, lambda engine: pull(engine, model, insecure=insecure))
