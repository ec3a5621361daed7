"""`cp`: a second name for a model."""

from __future__ import annotations

import click

from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine


@click.command("cp")
@click.argument("source", shell_complete=complete_model)
@click.argument("destination")
@click.pass_obj
def command(invocation: Invocation, source: str, destination: str) -> None:
    """Copy a model: DESTINATION becomes a second name of SOURCE and takes no further space."""
    with_engine(invocation, lambda engine: engine.copy(source, destination))
    click.echo(f"copied '{source}' to '{destination}'")
