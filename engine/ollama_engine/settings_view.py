"""Every setting as it is now: its value, where that comes from, what it means. `config`, `doctor` and the docs show it.

A value is told as it may be written in config.toml or an environment variable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from msgspec import Struct

from ollama_engine.durations import format_duration
from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import (
    HostAddress,
    Kind,
    Settings,
    Source,
    choices_of,
    kind_of,
    parse_setting,
    read_toml,
    settings_found,
)

HIDDEN = "********"


class SettingView(Struct, frozen=True, kw_only=True):
    """A setting as it is now."""

    key: str
    value: str
    """Empty where it is left open."""
    default: str
    source: Source
    kind: Kind
    choices: tuple[str, ...]
    """The words that a setting of kind `choice` takes."""
    variable: str
    meaning: str


class TableEntry(Struct, frozen=True, kw_only=True):
    """A key of one of the tables of config.toml, such as `registry.connections`. Secrets are hidden."""

    key: str
    value: str


def settings_view(
    environ: Mapping[str, str] | None = None, config_file: Path | None = None, **overrides: Any
) -> list[SettingView]:
    """All settings, in the order of their declaration. InvalidRequest as `Settings.resolve`."""
    found = settings_found(environ, config_file)
    return [_view(setting, found, overrides) for setting in fields(Settings)]


def _view(setting: Field[Any], found: Mapping[str, tuple[Any, Source]], overrides: Mapping[str, Any]) -> SettingView:
    value, source = found.get(setting.name, (setting.default, "default"))
    if overrides.get(setting.name) is not None:
        value, source = overrides[setting.name], "command line"
    return SettingView(
        key=setting.name,
        value=HIDDEN if value and is_secret(setting.name) else setting_text(setting, value),
        default=setting_text(setting, setting.default),
        source=source,
        kind=kind_of(setting),
        choices=choices_of(setting),
        variable=setting.metadata["env"],
        meaning=setting.metadata["meaning"],
    )


def tables_view(path: Path) -> list[TableEntry]:
    """What stands in the tables of config.toml, by dotted keys. InvalidRequest where the file cannot be read."""
    return [
        TableEntry(key=key, value=value)
        for name, table in read_toml(path).items()
        if isinstance(table, dict)
        for key, value in _entries(name, table)
    ]


def _entries(prefix: str, table: Mapping[str, Any]) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for name, value in table.items():
        key = f"{prefix}.{dotted(name)}"
        if isinstance(value, dict):
            entries += _entries(key, value)
        elif value and is_secret(name):
            entries.append((key, HIDDEN))
        else:
            entries.append((key, generic_text(value)))
    return entries


def is_secret(name: str) -> bool:
    """Whether the value of a key, or of a variable, is not for showing: a password, a token; the path of a file that
    has one is. Settings say so themselves, of other names it is told from the last word."""
    for setting in fields(Settings):
        if name in (setting.name, setting.metadata["env"]):
            return setting.metadata["secret"]
    return name.lower().split("_")[-1] in ("password", "token", "secret", "key")


def dotted(name: str) -> str:
    """A part of a dotted key, quoted where TOML wants that."""
    bare = name.isascii() and bool(name) and all(letter.isalnum() or letter in "-_" for letter in name)
    return name if bare else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def setting_text(setting: Field[Any], value: Any) -> str:
    """A value as it may be written."""
    if kind_of(setting) == "duration":
        # Both read back as "for ever"; OLLAMA_LOAD_TIMEOUT takes 0 for it, too.
        return "-1" if math.isinf(value) else format_duration(value)
    return generic_text(value)


def generic_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case HostAddress(scheme="http"):
            return value.url.removeprefix("http://")
        case HostAddress():
            return value.url
        case list() | tuple():
            return ",".join(map(generic_text, value))
        case _:
            return str(value)


def to_toml(key: str, text: str) -> str | int | bool | list[str]:
    """`text` for a setting as the type that it should have in config.toml. InvalidRequest where it is none."""
    setting = next(setting for setting in fields(Settings) if setting.name == key)
    value = parse_setting(key, text, f"setting '{key}'")
    match kind_of(setting):
        case "boolean":
            if text.lower() not in {"true", "false", "1", "0", "t", "f"}:
                # The environment takes anything for true, as Ollama does; who types a command wants to hear of it.
                raise InvalidRequest(f"bad value '{text}' for setting '{key}'", hint="It takes true or false.")
            return bool(value)
        case "integer":
            return int(value)
        case "list":
            return [str(item) for item in value]
        case _:
            return text


def markdown_table() -> str:
    """The table of docs/settings.md, a line a setting."""
    rows = [
        "| key | variable | takes | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in fields(Settings):
        default = setting_text(setting, setting.default)
        shown = f"`{default}`" if default else ""
        meaning = setting.metadata["meaning"].replace("|", "\\|")
        rows.append(f"| `{setting.name}` | `{setting.metadata['env']}` | {_takes(setting)} | {shown} | {meaning} |")
    return "\n".join(rows) + "\n"


def _takes(setting: Field[Any]) -> str:
    return ", ".join(f"`{word}`" for word in choices_of(setting)) or kind_of(setting)
