"""The settings of a workstation that is opened from the command line: config.toml, written with all its checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ollama_tui.services.settings import SettingsService


def open_settings(file: Path, overrides: Mapping[str, Any]) -> SettingsService:
    """`overrides` are settings that were given as flags."""
    return SettingsService(file, overrides, write=_write, unset=_unset)


def _write(file: Path, key: str, text: str) -> None:
    from ollama_engine.config_file import set_value  # both bring what the first paint does not need
    from ollama_tui.config_tables import TABLES

    set_value(file, key, text, TABLES)


def _unset(file: Path, key: str) -> bool:
    from ollama_engine.config_file import unset
    from ollama_tui.config_tables import TABLES

    return unset(file, key, TABLES)
