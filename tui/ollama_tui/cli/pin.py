"""`pin`: keeps a model in memory."""

from __future__ import annotations

import click

from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import needs_server, with_server


@click.command("pin")
@click.option("--off", is_flag=True, help="Let it go by its keep-alive again.")
@click.argument("model")
@click.pass_obj
def command(invocation: Invocation, model: str, off: bool) -> None:
    """Load a model and keep it in memory: neither time nor another model unloads it, 'stop' does."""
    with_server(
        invocation,
        lambda engine: engine.pin(model, pinned=not off),
        otherwise=lambda: needs_server(invocation, "there is nothing to pin"),
    )
