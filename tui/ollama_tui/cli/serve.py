"""`serve`: the engine behind HTTP, with no terminal, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import click

from ollama_engine.errors import EngineError, StoreError
from ollama_engine.settings import Settings
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.serving import announce
from ollama_tui.cli.serving_options import serving_options, with_options

if TYPE_CHECKING:
    from ollama_engine.local import LocalEngine

log = logging.getLogger(__name__)


@click.command("serve")
@serving_options()
@click.pass_obj
def command(invocation: Invocation, **options: Any) -> int:
    """Answer Ollama's HTTP API at OLLAMA_HOST (127.0.0.1:11434), with no terminal.

    On an address that other machines reach they need a key (see 'ollama-tui key'); the first one is made and shown.

    Ctrl-C or SIGTERM lets running answers finish, then ends; a second one ends at once.
    """
    return serve_until_told_to_stop(with_options(invocation.settings, **options))


def serve_until_told_to_stop(settings: Settings) -> int:
    logging.basicConfig(
        level=logging.DEBUG if settings.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Libraries tell of every connection at INFO; that is not what somebody who serves a model wants to read.
    for library in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)
    from ollama_engine.server.loop import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from ollama_engine.local import LocalEngine
    from ollama_engine.server.serve import serve

    async with LocalEngine(settings) as engine:
        if not settings.no_prune:
            await _prune(engine)
        pulls = asyncio.create_task(_take_up_pulls(engine))
        try:
            return await serve(settings, engine, on_ready=lambda address: announce(address, settings))
        finally:
            pulls.cancel()


async def _take_up_pulls(engine: LocalEngine) -> None:
    try:
        await engine.take_up_pulls()
    except EngineError as error:  # their files cannot be read, or the settings of registries are wrong
        log.warning("the queue of pulls was left: %s", error)


async def _prune(engine: LocalEngine) -> None:
    try:
        report = await engine.prune()
    except StoreError as error:  # a store that cannot be written to can still be served
        log.warning("unused blobs were left: %s", error)
        return
    if report.removed:
        log.info("removed %d unused blobs, %d bytes", len(report.removed), report.freed)
