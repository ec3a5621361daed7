"""Says that bard is a toy, where a person and not a program will read it."""

from __future__ import annotations

import sys

import click

from ollama_tui import suggestions


def tell_if_toy(model: str) -> None:
    """One line on stderr, and only if that is a terminal: Ollama's output on stdout stays as it is."""
    if suggestions.is_toy(model) and sys.stderr.isatty():
        click.secho(
            "bard is a toy that babbles in Shakespeare's manner and hardly heeds the question; "
            "it only shows that everything works.",
            err=True,
            dim=True,
        )
