"""`stop`: a model out of memory."""

from __future__ import annotations

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import NotFound
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import needs_server, with_server


@click.command("stop")
@click.option("--force", is_flag=True, help="Cancel its requests; else it goes when they have ended.")
@click.argument("model", shell_complete=complete_model)
@click.pass_obj
def command(invocation: Invocation, model: str, force: bool) -> None:
    """Let go of a running model as soon as its answers have ended."""
    with_server(
        invocation,
        lambda engine: _stop(engine, model, force=force),
        otherwise=lambda: needs_server(invocation, "there is nothing to stop"),
    )


async def _stop(engine: Engine, model: str, *, force: bool) -> None:
    try:
        await engine.unload(model)
        if force:
            await _cancel_requests(engine, model)
            await engine.unload(model)
    except NotFound as error:
        raise NotFound(
            f'couldn\'t find model "{model}" to stop', hint="'ollama-tui ps' lists running models."
        ) from error


async def _cancel_requests(engine: Engine, model: str) -> None:
    """Those that use it or wait for it, under any way to write its name."""
    for request in await engine.requests():
        if _full(request.model) == _full(model):
            try:
                await engine.cancel(request.id)
            except NotFound:  # it has ended by itself
                continue


def _full(name: str) -> str:
    return name.lower() if ":" in name.rpartition("/")[2] else f"{name.lower()}:latest"
