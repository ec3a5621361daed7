"""Text that arrives in pieces, read as if it were all there.

The parser is written as generators that `yield` where they need text that has not come yet. A position is an index
into `Reader.text`; a method that looks for something returns the position after it, or `MISS`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import TypeVar

from ollama_engine.output.syntax import pieces

T = TypeVar("T")
Reading = Generator[None, None, T]

MISS = -1
_SPACE = re.compile(r"\s*")
_PLAIN = re.compile(r"[\s,:\w+\-.]+", re.ASCII)
_MAX_DEPTH = 128


class Reader:
    """The text not yet dealt with. `cut` is set when something was missed only because the text came to its end."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        self.cut = False

    def feed(self, text: str) -> None:
        self.text += text

    def take(self, end: int) -> str:
        """Remove the first `end` characters and return them; positions count from there afterwards."""
        taken, self.text = self.text[:end], self.text[end:]
        return taken

    def has(self, at: int) -> Reading[bool]:
        """Whether there is a character at `at`; waits for it."""
        while at >= len(self.text):
            if self.ended:
                self.cut = True
                return False
            yield
        return True

    def char(self, at: int) -> Reading[str]:
        """The character at `at`, or nothing at the end of the text."""
        return self.text[at] if (yield from self.has(at)) else ""

    def skip_space(self, at: int) -> Reading[int]:
        """The position of the first character that is no whitespace (the end of the text, if none is)."""
        while True:
            match = _SPACE.match(self.text, at)
            at = match.end() if match else at
            if at < len(self.text) or not (yield from self.has(at)):
                return at

    def literal(self, at: int, marker: str) -> Reading[int]:
        """Match `marker` at `at`, any whitespace or none between its pieces."""
        for index, piece in enumerate(pieces(marker)):
            if index:
                at = yield from self.skip_space(at)
            at = yield from self._exact(at, piece)
            if at == MISS:
                return MISS
        return at

    def find(self, at: int, needle: str) -> Reading[int]:
        """Where `needle` begins, from `at` on."""
        while True:
            found = self.text.find(needle, at)
            if found >= 0:
                return found
            at = max(at, len(self.text) - len(needle) + 1)
            if not (yield from self.has(len(self.text))):
                return MISS

    def run(self, at: int, pattern: re.Pattern[str], limit: int = 256) -> Reading[int]:
        """The end of the characters from `at` on that `pattern` (one character) matches; MISS for none or too many."""
        end = at
        while (yield from self.has(end)) and pattern.match(self.text, end):
            end += 1
            if end - at > limit:
                return MISS
        return end if end > at else MISS

    def json_end(self, at: int) -> Reading[int]:
        """The end of the JSON object or array that begins at `at`; MISS as soon as it cannot be one."""
        closers: list[str] = []
        while True:
            char = yield from self.char(at)
            if char == '"':
                at = yield from self.string_end(at)
                if at == MISS:
                    return MISS
                continue
            if char in ("{", "["):
                closers.append("}" if char == "{" else "]")
                if len(closers) > _MAX_DEPTH:
                    return MISS
            elif char in ("}", "]"):
                if not closers or closers.pop() != char:
                    return MISS
                if not closers:
                    return at + 1
            else:
                match = _PLAIN.match(self.text, at)
                if not match or not closers:
                    return MISS
                at = match.end()
                continue
            at += 1

    def string_end(self, at: int) -> Reading[int]:
        """The end of the string whose quote stands at `at`; a backslash takes the next character with it."""
        quote = self.text[at]
        at += 1
        stop = re.compile(f"[{quote}\\\\]")
        while True:
            match = stop.search(self.text, at)
            if not match:
                at = len(self.text)
                if not (yield from self.has(at)):
                    return MISS
            elif match.group() == quote:
                return match.end()
            else:
                at = match.start() + 2
                if not (yield from self.has(at - 1)):
                    return MISS

    def _exact(self, at: int, piece: str) -> Reading[int]:
        while True:
            have = self.text[at : at + len(piece)]
            if have == piece:
                return at + len(piece)
            if not piece.startswith(have) or not (yield from self.has(at + len(have))):
                return MISS


class AnyOf:
    """Several literal markers, looked for together."""

    def __init__(self, markers: Iterable[str]) -> None:
        markers = sorted(markers, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, markers)) or r"(?!)")
        self._beginnings = {marker[:size] for marker in markers for size in range(1, len(marker))}
        self._longest = max(map(len, markers), default=0)

    def certain(self, text: str) -> int:
        """How much of `text` can be no part of a marker, whatever comes next."""
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[at:] in self._beginnings:
                return at
        return len(text)
