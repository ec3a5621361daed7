"""`--plain`: no screen is drawn. A model is chosen by number or name, then lines are said and read, as by `run`.

For screen readers and terminals that print: nothing is painted over, there are no frames, bars or colours.
"""

from __future__ import annotations

import os

import click

from ollama_engine.engine import Engine
from ollama_engine.types import ModelSummary
from ollama_tui import format
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine


def open_plain(invocation: Invocation, model: str | None) -> int:
    """A conversation by lines; the exit status."""
    from ollama_tui.cli.run import command

    os.environ["TERM"] = "dumb"  # what every command heeds: no spinner, no bar, no colour
    chosen = model or _choose(with_engine(invocation, _models))
    with command.make_context("run", ["--", chosen], obj=invocation) as context:
        return command.invoke(context) or 0


async def _models(engine: Engine) -> list[ModelSummary]:
    return [model for model in await engine.models() if not model.capabilities or "completion" in model.capabilities]


def _choose(models: list[ModelSummary]) -> str:
    """One of the models by its number or name; a name that is not here is pulled."""
    for number, model in enumerate(models, 1):
        click.echo(f"{number}: {format.plain(model.name)}, {format.size(model.size)}")
    answer: str = click.prompt("Model, by number or name", default="1" if models else None)
    number = int(answer) if answer.isdecimal() else 0
    return models[number - 1].name if 0 < number <= len(models) else answer
