"""Files named in a prompt: `What is in ./cat.png?` sends the picture along (spec §3). Used by `run`.

Also as terminals write a file that is dragged onto them: in quotes, with `\\ ` for blanks, as file:///a%20b.png, or
with bare blanks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ollama_engine.errors import InvalidRequest

MAX_FILE = 100 * 1024 * 1024
"""Bytes."""

_SUFFIX = r"\.(?:jpe?g|png|webp|gif|wav|mp3|flac)"
_QUOTED = re.compile(rf"""(?P<quote>['"])(?P<path>[^'"\n]+?{_SUFFIX})(?P=quote)""", re.IGNORECASE)
_URL = re.compile(rf"""(?<!\S)(?P<path>file://[^\s'"]+?{_SUFFIX})(?!\S)""", re.IGNORECASE)
_ESCAPED = re.compile(rf"""(?P<path>(?:[^\s'"\\]|\\.)+{_SUFFIX})\b""", re.IGNORECASE)
_WITH_BLANKS = re.compile(rf"""(?<!\S)(?=(?P<path>(?:~|\.{{1,2}})?/[^'"\n]+?{_SUFFIX})\b)""", re.IGNORECASE)
"""Looks ahead, so that one that leads nowhere hides none behind it."""


@dataclass(frozen=True)
class Attached:
    """A prompt without its paths, the files as base64, and how they were named."""

    prompt: str
    images: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Where in the prompt an existing file is named."""

    begin: int
    end: int
    name: str
    path: Path


def attach_files(prompt: str) -> Attached:
    """Read the files whose paths stand in `prompt`. A path that leads to none stays text.

    InvalidRequest where a file is too large or unreadable.
    """
    places = _places(prompt)
    if not places:
        return Attached(prompt)
    images = [_read(place.path, place.name) for place in places]
    text, begin = "", 0
    for place in places:
        text += prompt[begin : place.begin]
        begin = place.end
    return Attached((text + prompt[begin:]).strip(), images, [place.name for place in places])


def begins_with_file(prompt: str) -> bool:
    """Whether the first thing in `prompt` is the path of a picture or a sound that exists."""
    return any(place.begin == 0 for place in _places(prompt))


def _places(prompt: str) -> list[_Place]:
    """The files named in `prompt`, in order. Of two readings of one place the one that begins first, or is longer."""
    found = sorted(_candidates(prompt), key=lambda place: (place.begin, -place.end))
    kept: list[_Place] = []
    for place in found:
        if not kept or place.begin >= kept[-1].end:
            kept.append(place)
    return kept


def _candidates(prompt: str) -> Iterator[_Place]:
    for match in _QUOTED.finditer(prompt):
        yield from _existing(match.start(), match.end(), match["path"])
    for match in _URL.finditer(prompt):
        url = urlsplit(match["path"])
        if url.netloc in ("", "localhost"):
            yield from _existing(match.start(), match.end(), unquote(url.path))
    for match in _ESCAPED.finditer(prompt):
        yield from _existing(match.start(), match.end(), re.sub(r"\\(.)", r"\1", match["path"]))
    for match in _WITH_BLANKS.finditer(prompt):
        yield from _existing(match.start("path"), match.end("path"), match["path"])


def _existing(begin: int, end: int, name: str) -> Iterator[_Place]:
    try:
        path = Path(name).expanduser()
        if path.is_file():
            yield _Place(begin, end, name, path)
    except (OSError, RuntimeError, ValueError):
        return  # no path that could exist: too long, a zero byte, a user that is not known


def _read(path: Path, name: str) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise InvalidRequest(f"{name} has {size:,} bytes; an image may have {MAX_FILE:,}")
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InvalidRequest(f"{name} cannot be read: {error.strerror}") from error
