"""Text that arrives in pieces, broken into lines at a terminal's edge."""

from __future__ import annotations

from ollama_tui.format import cell_width

_JOINER = "\u200d"
_OPENING = "「『（［｛〈《【〔“‘("
_CLOSING = "、。，．：；！？）］｝」』〉》】〕”’ー…‥・%),.:;!?"
"""What begins no line in Chinese and Japanese (JIS X 4051, the usual part of it)."""


class WordWrap:
    """Breaks a stream of text between words, `width` columns a line; holds back a word until it ends.

    Scripts without blanks break between any two of their wide characters, but not before punctuation that closes.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._column = 0
        self._gap = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """What may be printed now that `text` has come."""
        out: list[str] = []
        for character in text:
            if character == "\n":
                out.append(self._end_word() + "\n")
                self._column, self._gap = 0, ""
            elif character in " \t":
                out.append(self._end_word())
                self._gap += character
            else:
                if self._word and can_break(self._word[-1], character):
                    out.append(self._end_word())
                self._word += character
                if cell_width(self._word) >= self.width:
                    out.append(self._end_word())
        return "".join(out)

    def flush(self) -> str:
        """The word held back, at the end of the text."""
        return self._end_word()

    def restart(self) -> str:
        """As `flush`; the next text begins a line of its own."""
        rest = self._end_word()
        self._column, self._gap = 0, ""
        return rest

    def _end_word(self) -> str:
        if not self._word:
            return ""
        gap, word, self._gap, self._word = self._gap, self._word, "", ""
        cells = cell_width(word)
        if (self._column or gap) and self._column + len(gap) + cells > self.width:
            self._column = cells
            return "\n" + word
        self._column += len(gap) + cells
        return gap + word


def can_break(before: str, after: str) -> bool:
    """Whether a line may end between two characters of one word."""
    if (before.isascii() and after.isascii()) or after in _CLOSING or before in _OPENING:
        return False
    if _JOINER in (before, after) or cell_width(after) == 0 or "\U0001f3fb" <= after <= "\U0001f3ff":
        return False  # part of what stands before it: an accent, a skin tone, a family of emoji
    if "\U0001f1e6" <= after <= "\U0001f1ff":
        return False  # a flag is two letters
    return cell_width(before) == 2 or cell_width(after) == 2
