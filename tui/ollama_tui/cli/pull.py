"""`pull`: says plainly that this build cannot."""

from __future__ import annotations

import click

from ollama_engine.errors import EngineError


@click.command("pull", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, metavar="MODEL")
def command(arguments: tuple[str, ...]) -> None:
    """Pull a model from a registry. Not in this build."""
    raise EngineError(
        "this build cannot pull models",
        hint="A GGUF file becomes a model with 'ollama-tui create'; what Ollama pulled is used as it is.",
    )
