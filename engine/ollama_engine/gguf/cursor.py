"""Reads GGUF's primitive values from a file of unknown intentions. The header reader is its only caller.

Nothing is allocated from a number in the file before that many bytes are known to be there. The file is read in
windows and never mapped: a mapped file that shrinks kills the whole process with SIGBUS.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ollama_engine.errors import InvalidGGUF

WINDOW = 1 << 20
HEADER_LIMIT = 256 << 20
"""No header is larger. Real ones stay below 32 MiB, nearly all of it vocabulary."""

STRING_LIMIT = 16 << 20
MARK_EVERY = 4096
"""String arrays remember where every so many-th string starts, so that one entry is found without a long walk."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")

CUT_SHORT = "the file is cut short: download or copy it again"
BROKEN = "the file is damaged or not made by a GGUF writer: download or convert it again"


class Cursor:
    """A position in the header of the open `file` of `size` bytes, every step checked against its end.

    Raises:
        InvalidGGUF: a value does not lie inside the file; the message names the file and the value.
    """

    def __init__(self, file: BinaryIO, path: Path, size: int, position: int = 0) -> None:
        self._file = file
        self._path = path
        self._size = size
        self._end = min(size, HEADER_LIMIT)
        self._window = b""
        self._base = position
        self.position = position

    @property
    def remaining(self) -> int:
        """Bytes that the header may still use."""
        return self._end - self.position

    def fault(self, problem: str, hint: str = BROKEN) -> InvalidGGUF:
        return InvalidGGUF(f"{self._path.name}: {problem}", hint=hint)

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        start = self.position - self._base
        if start + count > len(self._window):
            self._refill(self.position, count, what)
            start = 0
        self.position += count
        return self._window[start : start + count]

    def u32(self, what: str) -> int:
        return _U32.unpack(self.take(4, what))[0]

    def u64(self, what: str) -> int:
        return _U64.unpack(self.take(8, what))[0]

    def string(self, what: str, limit: int = STRING_LIMIT) -> bytes:
        """A length and that many bytes."""
        length = self.u64(f"the length of {what}")
        if length > limit:
            raise self.fault(f"{what} claims to be {length} bytes long; at most {limit} are allowed")
        return self.take(length, what)

    def skip(self, count: int, what: str) -> None:
        if count > self.remaining:
            raise self._beyond(what, count)
        self.position += count

    def skip_strings(self, count: int, what: str) -> tuple[int, ...]:
        """Step over `count` strings; returns where each `MARK_EVERY`-th starts.

        The inner loop runs once per vocabulary entry, hundreds of thousands of times a file: it stays bare.
        """
        if count * 8 > self.remaining:
            raise self._beyond(what, count * 8)
        marks: list[int] = []
        unpack = _U64.unpack_from
        window, base, at = self._window, self._base, self.position - self._base
        last = len(window) - 8
        for first in range(0, count, MARK_EVERY):
            marks.append(base + at)
            for _ in range(min(MARK_EVERY, count - first)):
                if at > last:
                    self._refill(base + at, 8, what)
                    window, base, at = self._window, self._base, 0
                    last = len(window) - 8
                at += 8 + unpack(window, at)[0]
        if base + at > self._end:
            raise self._beyond(what, base + at - self.position)
        self.position = base + at
        return tuple(marks)

    def _refill(self, position: int, count: int, what: str) -> None:
        if count > self._end - position:
            raise self._beyond(what, position + count - self.position)
        self._file.seek(position)
        self._window = self._file.read(max(count, min(WINDOW, self._end - position)))
        self._base = position
        if len(self._window) < count:
            raise self.fault(f"the file shrank while {what} was read", "wait until it is written completely")

    def _beyond(self, what: str, count: int) -> InvalidGGUF:
        if self._size > self._end and self.position + count <= self._size:
            return self.fault(f"{what} makes the header larger than {HEADER_LIMIT >> 20} MiB")
        problem = f"the file ends inside {what} ({count} bytes wanted, {self._size - self.position} left)"
        return self.fault(problem, CUT_SHORT)
