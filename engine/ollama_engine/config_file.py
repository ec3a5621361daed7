"""Writes config.toml: one key set or taken out, everything else as it was, comments and order included.

A file is changed only where all of it is right afterwards, and by renaming a whole one: a crash leaves the old file or
the new. What a link points to is changed, not the link (people keep their settings in a repository).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tomllib
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError

from ollama_engine.errors import InvalidRequest, StoreError
from ollama_engine.settings import Settings, read_toml, settings_found, unknown_setting
from ollama_engine.settings_view import dotted, to_toml
from ollama_engine.store.files import replace_durably

NEW_FILE_MODE = 0o600
"""It may come to hold the passwords of registries."""

CheckTable = Callable[[Mapping[str, Any]], object]
"""Raises InvalidRequest where the keys of a table are wrong."""


def set_value(path: Path, key: str, text: str, tables: Mapping[str, CheckTable]) -> None:
    """Write `key = text`. A dotted key belongs to a table, whose owner checks it.

    Raises:
        InvalidRequest: no such setting, a value that it does not take, or a file that is wrong already.
        StoreError: the file cannot be written.
    """
    parts = key_parts(key)
    document = _document(path)
    if len(parts) == 1:
        _check_known(parts[0], path)
        document[parts[0]] = to_toml(parts[0], text)
    else:
        _check_table(parts[0], path, tables)
        _descend(document, parts[:-1], path)[parts[-1]] = _literal(text)
    _write(path, document, parts[0], tables)


def unset(path: Path, key: str, tables: Mapping[str, CheckTable]) -> bool:
    """Take `key` out of the file; false where it does not stand there. Errors as `set_value`.

    A key that is no setting can be taken out, too: that is how a file is put right.
    """
    parts = key_parts(key)
    document = _document(path)
    holder: Any = document
    for part in parts[:-1]:
        holder = holder.get(part) if isinstance(holder, Mapping) else None
    if not isinstance(holder, MutableMapping) or parts[-1] not in holder:
        return False
    del holder[parts[-1]]
    _write(path, document, parts[0], tables, repairing=True)
    return True


def key_parts(key: str) -> tuple[str, ...]:
    """The parts of a dotted key as TOML writes them: `registry.hosts."registry.example.org".token` has four."""
    try:
        node: Any = tomllib.loads(f"{key} = 0") if "\n" not in key else None
    except tomllib.TOMLDecodeError:
        node = None
    parts: list[str] = []
    while isinstance(node, dict) and len(node) == 1:
        ((name, node),) = node.items()
        parts.append(name)
    if node != 0 or not parts:
        raise InvalidRequest(
            f"'{key}' is no key", hint='A key is a word, or several with dots: registry.hosts."example.org".token'
        )
    return tuple(parts)


def _document(path: Path) -> TOMLDocument:
    read_toml(path)  # says what is wrong with it in words
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except TOMLKitError as error:
        raise InvalidRequest(
            f"{path} cannot be changed without losing what stands in it: {error}", hint="Write the line by hand."
        ) from error


def _check_known(key: str, path: Path) -> None:
    if key not in {setting.name for setting in fields(Settings)}:
        raise unknown_setting(key, path)


def _check_table(name: str, path: Path, tables: Mapping[str, CheckTable]) -> None:
    if name not in tables:
        known = ", ".join(f"[{table}]" for table in sorted(tables))
        raise InvalidRequest(f"there is no table [{name}] in {path.name}", hint=f"Tables are: {known}.")


def _descend(document: TOMLDocument, parts: Sequence[str], path: Path) -> MutableMapping[str, Any]:
    holder: MutableMapping[str, Any] = document
    for depth, part in enumerate(parts):
        if part not in holder:
            # `[registry]` alone says nothing where only a table below it has keys.
            holder[part] = tomlkit.table(is_super_table=depth < len(parts) - 1)
        holder = holder[part]
        if not isinstance(holder, MutableMapping):
            raise InvalidRequest(
                f"'{'.'.join(map(dotted, parts[: depth + 1]))}' in {path} is not a table", hint="Take it out first."
            )
    return holder


def _literal(text: str) -> Any:
    """A TOML value where `text` is one (`8`, `true`, `["a"]`), else the text itself."""
    with contextlib.suppress(tomllib.TOMLDecodeError):
        if "\n" not in text:
            return tomllib.loads(f"value = {text}")["value"]
    return text


def _write(
    path: Path, document: TOMLDocument, top: str, tables: Mapping[str, CheckTable], *, repairing: bool = False
) -> None:
    text = tomlkit.dumps(document)
    table = tomllib.loads(text).get(top)
    if isinstance(table, dict) and top in tables and not repairing:
        tables[top](table)
    target = Path(os.path.realpath(path))
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else NEW_FILE_MODE
        replace_durably(target, text.encode(), prefix=".config-", mode=mode)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}", hint=f"Check who owns {target.parent}."
        ) from error


def check_file(path: Path, tables: Mapping[str, CheckTable]) -> None:
    """InvalidRequest where a key, a value or a table of the file is wrong."""
    settings_found({}, path)
    for name, table in read_toml(path).items():
        if isinstance(table, dict):
            _check_table(name, path, tables)
            tables[name](table)
