"""How `ollama-tui` opens the workstation: paint first, then attach to the server that answers, or embed an engine."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from ollama_engine.settings import APP, Settings, default_config_file
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.connect import address_label, choose_engine
from ollama_tui.settings_file import open_settings

START_SECONDS = 2.0
"""After so long a start is over."""


def run_workstation(settings: Settings, *, model: str | None = None, overrides: Mapping[str, Any] | None = None) -> int:
    """Open the workstation, on a new conversation with `model` if given; stay until the user quits. The exit status.

    `overrides` are the settings among `settings` that were given as flags.
    """
    return asyncio.run(_run(settings, model, overrides or {}))


async def _run(settings: Settings, model: str | None, overrides: Mapping[str, Any]) -> int:
    config_folder = Path(platformdirs.user_config_dir(APP))
    app = Workstation(
        lambda: choose_engine(settings),
        settings,
        chats=ChatStore(Path(platformdirs.user_data_dir(APP)) / "chats.db"),
        host_label=address_label(settings),
        model=model,
        theme_folders=[config_folder / "themes"],
        settings_service=open_settings(default_config_file(), overrides),
        state_folder=Path(platformdirs.user_state_dir(APP)),
        remember=_remember,
        look_around=lambda: _look_around(settings),
    )
    asyncio.get_running_loop().call_later(START_SECONDS, _collect_again)
    try:
        await app.run_async(mouse=settings.mouse)
    finally:
        # The terminal is restored by now; ending the runners may take a moment.
        await app.services.aclose()
    return app.return_code or 0


def _collect_again() -> None:
    """What is there by now stays until the end: it is not looked through any more."""
    gc.freeze()
    gc.enable()


async def _look_around(settings: Settings) -> str:
    existing = await asyncio.to_thread(importlib.import_module, "ollama_tui.first_run.existing")
    return await existing.notice(settings)


def _remember(setting: str, value: str) -> None:
    """Write a setting that was chosen in the workstation to config.toml; StoreError, InvalidRequest."""
    from ollama_engine.config_file import set_value

    set_value(default_config_file(), setting, value, {})
