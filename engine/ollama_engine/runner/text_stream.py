"""Bytes of tokens to text that may be shown: whole characters only, and never any part of a stop string.

A byte-level token may end inside a character, and a stop string may be spread over many tokens; whatever could still
become one of the two is held back until the next token decides.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class StopMatcher:
    """Finds the first of several stop strings in text that comes in pieces.

    First is the one that begins earliest: when one is found inside what may still become another that began before
    it, the text waits until that is decided. Of two that begin at the same place either will do.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.matched = ""
        """The stop string that was found."""

    def push(self, text: str) -> tuple[str, bool]:
        """Take more text; return what may be shown and whether a stop string was found (the text ends before it)."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = self._find(text)
        keep = self._possible_start(text)
        if 0 <= found <= keep:
            self._held = ""
            return text[:found], True
        self._held = text[keep:]
        return text[:keep], False

    def flush(self) -> tuple[str, bool]:
        """What is held back may be shown now, up to a stop string that may be in it: no more text will come."""
        held, self._held = self._held, ""
        found = self._find(held)
        return (held, False) if found < 0 else (held[:found], True)

    def _find(self, text: str) -> int:
        """Where the first stop string begins, or -1."""
        at, self.matched = min(((at, stop) for stop in self._stops if (at := text.find(stop)) >= 0), default=(-1, ""))
        return at

    def _possible_start(self, text: str) -> int:
        """The first index from which the rest of `text` is the beginning of a stop string; len(text) if none."""
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            rest = text[at:]
            if any(stop.startswith(rest) for stop in self._stops):
                return at
        return len(text)


class TextStream:
    """Bytes in, text out, for one answer.

    Bytes that are no UTF-8 become U+FFFD; a character that the end of the answer cuts in two is left out.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._matcher = StopMatcher(stops)
        self.stopped = False

    @property
    def matched(self) -> str:
        """The stop string that ended the text; empty while none has."""
        return self._matcher.matched if self.stopped else ""

    def push(self, piece: bytes) -> str:
        """Text that may be shown now. After a stop string was found, `stopped` is true and nothing more comes."""
        if self.stopped:
            return ""
        text = self._decoder.decode(piece)
        if not text:
            return ""
        text, self.stopped = self._matcher.push(text)
        return text

    def flush(self) -> str:
        """The text still held back, once no more tokens come. It may turn out to hold a stop string (`stopped`)."""
        if self.stopped:
            return ""
        text, self.stopped = self._matcher.flush()
        return text
