"""How `ollama-tui` opens the workstation: paint first, then attach to the server that answers, or embed an engine."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import platformdirs

from ollama_engine.engine import Engine
from ollama_engine.settings import APP, Settings
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.connect import is_this_machine, server_answers, unreachable


def run_workstation(settings: Settings, *, model: str | None = None) -> int:
    """Open the workstation, on a new conversation with `model` if given; stay until the user quits. The exit status."""
    return asyncio.run(_run(settings, model))


async def _run(settings: Settings, model: str | None) -> int:
    app = Workstation(
        lambda: choose_engine(settings),
        settings,
        chats=ChatStore(Path(platformdirs.user_data_dir(APP)) / "chats.db"),
        host_label=_label(settings),
        model=model,
        theme_folders=[Path(platformdirs.user_config_dir(APP)) / "themes"],
    )
    try:
        await app.run_async()
    finally:
        # The terminal is restored by now; ending the runners may take a moment.
        await app.services.aclose()
    return app.return_code or 0


async def choose_engine(settings: Settings) -> tuple[Engine, str]:
    """The server at `settings.host` where one answers, else an engine of our own in this process.

    Raises:
        ServerUnreachable: another machine's server is asked for, and does not answer; its models are not here.
    """
    # Imported in a thread: httpx and the engine cost a few hundred milliseconds that the screen need not wait for.
    remote = await asyncio.to_thread(importlib.import_module, "ollama_engine.remote")
    if await server_answers(settings):
        return remote.RemoteEngine(settings.host.client), _label(settings)
    if not is_this_machine(settings.host):
        raise unreachable(settings.host)
    local = await asyncio.to_thread(importlib.import_module, "ollama_engine.local")
    return local.LocalEngine(settings), "this machine"


def _label(settings: Settings) -> str:
    host = settings.host.client
    return f"{host.host}:{host.port}"
