"""Bytes of tokens to text that may be shown: whole characters only, and never any part of a stop string.

A byte-level token may end inside a character, and a stop string may be spread over many tokens; whatever could still
become one of the two is held back until the next token decides.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class StopMatcher:
    """Finds the first of several stop strings in text that comes in pieces.

    Where two stop strings begin at the same place the longer one need not be waited for: the text is cut before
    either of them.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take more text; return what may be shown and whether a stop string was found (the text ends before it)."""
        if not self._stops:
            return text, False
        text = self._held + text
        found = min((at for at in (text.find(stop) for stop in self._stops) if at >= 0), default=-1)
        if found >= 0:
            self._held = ""
            return text[:found], True
        keep = self._possible_start(text)
        self._held = text[keep:]
        return text[:keep], False

    def flush(self) -> str:
        """Give up what is held back: no more text will come, so it is no stop string."""
        held, self._held = self._held, ""
        return held

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
        """The text still held back, once the answer has ended for another reason than a stop string."""
        return "" if self.stopped else self._matcher.flush()
