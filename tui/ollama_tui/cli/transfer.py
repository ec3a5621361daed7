"""Pulling and pushing with progress on stderr, for the commands `pull`, `push` and `run`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, ModelNotFound
from ollama_engine.types import PullRequest, PushRequest, TransferProgress
from ollama_tui.cli.progress import ProgressLines


async def pull(engine: Engine, model: str, *, insecure: bool = False) -> None:
    """Bring a model here. Interrupted, it says that nothing is lost."""
    try:
        await _show(engine.pull(PullRequest(model, insecure=insecure)))
    except asyncio.CancelledError:
        flag = " --insecure" if insecure else ""
        click.echo(f"Stopped. What came is kept: 'ollama-tui pull {model}{flag}' goes on from there.", err=True)
        raise


async def pull_missing(engine: Engine, model: str, *, insecure: bool = False) -> None:
    """Bring a model here that was not found; where that fails, both is said."""
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
