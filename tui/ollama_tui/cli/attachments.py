"""Files named in a prompt: `What is in ./cat.png?` sends the picture along (spec §3). Used by `run`."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from pathlib import Path

from ollama_engine.errors import InvalidRequest

MAX_FILE = 100 * 1024 * 1024
"""Bytes."""

_PATH = re.compile(
    r"""(?P<quote>['"])(?P<quoted>[^'"\n]+?\.(?:jpe?g|png|webp|wav))(?P=quote)"""
    r"""|(?P<plain>(?:[^\s'"\\]|\\.)+\.(?:jpe?g|png|webp|wav))\b""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Attached:
    """A prompt without its paths, the files as base64, and how they were named."""

    prompt: str
    images: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def attach_files(prompt: str) -> Attached:
    """Read the files whose paths stand in `prompt`. A path that leads to none stays text.

    A space in a path is written `\\ `, or the path in quotes. InvalidRequest where a file is too large or unreadable.
    """
    images: list[str] = []
    names: list[str] = []

    def read(found: re.Match[str]) -> str:
        name = found["quoted"] or re.sub(r"\\(.)", r"\1", found["plain"])
        path = Path(name).expanduser()
        if not path.is_file():
            return found[0]
        images.append(_read(path, name))
        names.append(name)
        return ""

    text = _PATH.sub(read, prompt)
    return Attached(text.strip(), images, names) if images else Attached(prompt)


def _read(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise InvalidRequest(f"{name} has {size:,} bytes; an image may have {MAX_FILE:,}")
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InvalidRequest(f"{name} cannot be read: {error.strerror}") from error
