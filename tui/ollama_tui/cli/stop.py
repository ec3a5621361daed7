"""`stop`: a model out of memory."""

from __future__ import annotations

from typing import NoReturn

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import NotFound, ServerUnreachable
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_server


@click.command("stop")
@click.argument("model", shell_complete=complete_model)
@click.pass_obj
def command(invocation: Invocation, model: str) -> None:
    """Let go of a running model as soon as its answers have ended."""

    def no_server() -> NoReturn:
        raise ServerUnreachable(
            f"no server is running at {invocation.settings.host.client.url}",
            hint="Only a server keeps models in memory between commands; there is nothing to stop.",
        )

    with_server(invocation, lambda engine: _stop(engine, model), otherwise=no_server)


async def _stop(engine: Engine, model: str) -> None:
    try:
        await engine.unload(model)
    except NotFound as error:
        raise NotFound(
            f'couldn\'t find model "{model}" to stop', hint="'ollama-tui ps' lists running models."
        ) from error
