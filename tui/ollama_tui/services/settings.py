"""Settings as the workstation sees and changes them: each with where its value comes from; config.toml is written.

Writing needs more of the engine than services may know: what does it is handed in (`settings_file`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ollama_engine.errors import InvalidRequest, NotSupported
from ollama_engine.settings import Settings, parse_setting
from ollama_engine.settings_view import SettingView, settings_view


def _read_only(file: Path, *_: str) -> bool:
    raise NotSupported(f"{file} is only read here", hint="Change it with 'ollama-tui config set KEY VALUE'.")


class SettingsService:
    """Args:
    overrides: settings that were given as flags; they go before the file and the environment.
    write, unset: change one key of the file, as `config_file` does; both may raise EngineError.
    """

    def __init__(
        self,
        file: Path,
        overrides: Mapping[str, Any] | None = None,
        *,
        write: Callable[[Path, str, str], object] = _read_only,
        unset: Callable[[Path, str], bool] = _read_only,
    ) -> None:
        self.file = file
        self._overrides = dict(overrides or {})
        self._write = write
        self._unset = unset

    async def view(self) -> list[SettingView]:
        """All settings as they are now, the workstation's own first. InvalidRequest where the file is wrong."""
        views = await asyncio.to_thread(settings_view, None, self.file, **self._overrides)
        return sorted(views, key=lambda view: not view.variable.startswith("OLLAMA_TUI_"))

    async def resolve(self) -> Settings:
        """As `Settings.resolve`, with this file and these flags."""
        return await asyncio.to_thread(lambda: Settings.resolve(config_file=self.file, **self._overrides))

    async def write(self, key: str, text: str) -> str:
        """Write `key = text` into the file; what hides it from taking effect in words, "" where nothing does.

        Raises:
            EngineError: no such setting, a value that it does not take, or a file that cannot be written.
        """
        await asyncio.to_thread(self._write, self.file, key, text)
        return self._hidden_by(key)

    async def unset(self, key: str) -> bool:
        """Take `key` out of the file; false where it does not stand there. Errors as `write`."""
        return await asyncio.to_thread(self._unset, self.file, key)

    def _hidden_by(self, key: str) -> str:
        if key in self._overrides:
            return f"--{key.replace('_', '-')} was given on the command line, which goes before the file."
        variable = next(setting.metadata["env"] for setting in fields(Settings) if setting.name == key)
        if os.environ.get(variable, "").strip():
            return f"{variable} is set in the environment, which goes before the file."
        return ""


def problem(key: str, text: str) -> str:
    """What is wrong with a value in words, "" where it is one that the setting takes."""
    try:
        parse_setting(key, text, "this setting")
    except InvalidRequest as error:
        return f"{error.message}. {error.hint}"
    return ""
