"""`push`: says plainly that this build cannot."""

from __future__ import annotations

import click

from ollama_engine.errors import EngineError


@click.command("push", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="MODEL")
def command(arguments: tuple[str, ...]) -> None:
    """Push a model to a registry. Not in this build."""
    raise EngineError("this build cannot push models")
