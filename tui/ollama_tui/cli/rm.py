"""`rm`: models out of memory and off the disk."""

from __future__ import annotations

import contextlib

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine


@click.command("rm")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=complete_model)
@click.pass_obj
def command(invocation: Invocation, models: tuple[str, ...]) -> None:
    """Remove models, and their data where no other model uses it. A running one is unloaded first."""
    with_engine(invocation, lambda engine: _remove(engine, models))


async def _remove(engine: Engine, models: tuple[str, ...]) -> None:
    for model in models:
        with contextlib.suppress(EngineError):  # one that cannot be opened cannot be in memory; it can be removed
            await engine.unload(model)
        await engine.delete(model)
        click.echo(f"deleted '{model}'")
