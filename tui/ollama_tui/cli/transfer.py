"""Pulling and pushing with progress on stderr, for the commands `pull`, `push`, `run` and `chat`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, ModelNotFound
from ollama_engine.types import ModelInfo, PullRequest, PushRequest, TransferProgress
from ollama_tui.cli.memory_plan import tell_fit_before_pull
from ollama_tui.cli.progress import ProgressLines
from ollama_tui.format import plain

UPDATE_WORDS = {"current": "up to date", "absent": "not in its registry"}


async def pull(engine: Engine, model: str, *, insecure: bool = False, again: str = "") -> None:
    """Bring a model here. Interrupted, it says that nothing is lost, and that `pull AGAIN` (or the model) goes on."""
    try:
        await _show(engine.pull(PullRequest(model, insecure=insecure)))
    except asyncio.CancelledError:
        words = f"{again or model} --insecure" if insecure else again or model
        click.echo(f"Stopped. What came is kept: 'ollama-tui pull {plain(words)}' goes on from there.", err=True)
        raise


async def pull_several(engine: Engine, models: Sequence[str], *, insecure: bool = False) -> int:
    """Bring models here, one after the other. One that fails does not stop the others: the exit status tells."""
    again = " ".join(models)
    failures = [await _pull_next(engine, model, insecure, again) for model in dict.fromkeys(models)]
    return _told(list(filter(None, failures)))


async def pull_updates(engine: Engine, *, insecure: bool = False) -> int:
    """Bring every model up to date that has a newer manifest at its registry, and say what became of the others."""
    click.echo("looking for updates", err=True)
    found = sorted([update async for update in engine.updates(insecure=insecure)], key=lambda update: update.name)
    failures: list[str] = []
    for update in found:
        if update.state == "newer":
            failures.append(await _pull_next(engine, update.name, insecure, "--all"))
    updated = iter(failures)
    for update in found:
        if update.state == "newer" and not next(updated):
            click.echo(f"{plain(update.name)}: updated")
        elif update.state in UPDATE_WORDS:
            click.echo(f"{plain(update.name)}: {UPDATE_WORDS[update.state]}")
    unknown = [f"{update.name}: {update.reason}" for update in found if update.state == "unknown"]
    return _told([*filter(None, failures), *unknown])


async def _pull_next(engine: Engine, model: str, insecure: bool, again: str) -> str:
    """Pull one of several; what went wrong, or nothing."""
    click.echo(f"{plain(model)}:", err=True)
    try:
        await pull(engine, model, insecure=insecure, again=again)
    except EngineError as error:
        click.echo("failed", err=True)
        return f"{model}: {error.message}"
    return ""


def _told(failures: list[str]) -> int:
    for failure in failures:
        click.echo(f"Error: {plain(failure)}", err=True)
    return 1 if failures else 0


async def present(engine: Engine, model: str, *, insecure: bool = False) -> ModelInfo:
    """What is known of a model, which is pulled first where it is not here."""
    try:
        return await engine.show(model)
    except ModelNotFound:
        await pull_missing(engine, model, insecure=insecure)
        return await engine.show(model)


async def pull_missing(engine: Engine, model: str, *, insecure: bool = False) -> None:
    """Bring a model here that was not found; where that fails, both is said."""
    await tell_fit_before_pull(engine, model)
    try:
        await pull(engine, model, insecure=insecure)
    except EngineError as error:
        message = f"model '{model}' not found here, and it could not be pulled: {error.message}"
        raise ModelNotFound(model, message, hint=error.hint) from error


async def push(engine: Engine, model: str, *, insecure: bool = False) -> None:
    """Send a model to its registry."""
    await _show(engine.push(PushRequest(model, insecure=insecure)))


async def _show(steps: AsyncGenerator[TransferProgress, None]) -> None:
    with ProgressLines.for_stderr() as lines:
        async with aclosing(steps):
            async for step in steps:
                lines.show(step)
