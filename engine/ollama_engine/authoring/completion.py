"""What may come next where the cursor is in a Modelfile: instructions, parameters, roles, models, GGUF files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.modelfile.parser import INSTRUCTIONS, ROLES, scan_modelfile
from ollama_engine.options import OPTION_KINDS, words_of

MOST = 200
_FILES = ("from", "adapter", "draft")


@dataclass(frozen=True)
class Completion:
    """What may stand from column `start` on, in place of what stands there up to the cursor."""

    start: int
    options: tuple[str, ...] = ()


def complete(lines: list[str], row: int, column: int, *, models: Iterable[str], base_dir: Path) -> Completion:
    """Row and column count from 0. It may list a folder: use a thread."""
    before = lines[row][:column]
    if scan_modelfile("\n".join(lines[:row])).open_line:
        return Completion(column)  # inside the quotes of a value of several lines
    words = before.split()
    begun = "" if not before or before[-1].isspace() else words.pop()
    start = column - len(begun)
    if not words:
        return Completion(start, _matching((f"{name.upper()} " for name in INSTRUCTIONS), begun))
    head, *rest = (word.lower() for word in words)
    match head, rest:
        case "parameter", []:
            return Completion(start, _matching((f"{name} " for name in sorted(OPTION_KINDS)), begun))
        case "parameter", [name]:
            return Completion(start, _matching(words_of(name), begun))
        case "message", []:
            return Completion(start, _matching((f"{role} " for role in ROLES), begun))
        case name, _ if name in _FILES:
            value = before.lstrip()[len(name) :].lstrip()
            return _source(name, value, column, models, base_dir)
        case _:
            return Completion(column)


def _source(name: str, value: str, column: int, models: Iterable[str], base_dir: Path) -> Completion:
    """Names of models, and files: a path may have blanks, so the whole value is completed."""
    quote = '"' if value.startswith('"') else ""
    value = value.removeprefix('"')
    options: list[str] = []
    if name == "from" and not value.startswith((".", "~", "/")):
        options += sorted(model for model in models if model.lower().startswith(value.lower()) and model != value)
    options += _paths(value, base_dir)
    return Completion(column - len(value), tuple(options[:MOST])) if not quote else Completion(
        column - len(value), tuple(option if option.endswith("/") else f'{option}"' for option in options[:MOST])
    )  # fmt: skip


def _paths(value: str, base_dir: Path) -> list[str]:
    """Folders and GGUF files whose path begins with `value`, written as it is; hidden ones when asked for."""
    folder, _, begun = value.rpartition("/")
    shown = f"{folder}/" if "/" in value else ""
    try:
        place = base_dir / Path(shown or ".").expanduser()
        entries = sorted(place.iterdir(), key=lambda entry: entry.name)
    except (OSError, ValueError, RuntimeError):
        return []
    found: list[str] = []
    for entry in entries:
        if not entry.name.lower().startswith(begun.lower()) or (entry.name.startswith(".") and not begun):
            continue
        if _is_folder(entry):
            found.append(f"{shown or './'}{entry.name}/")
        elif entry.suffix.lower() == ".gguf" and entry.name != begun:
            found.append(f"{shown or './'}{entry.name}")
    return found


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _matching(options: Iterable[str], begun: str) -> tuple[str, ...]:
    return tuple(option for option in options if option.lower().startswith(begun.lower()) and option != begun)
