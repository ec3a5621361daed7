"""`Body`: the text of one message, which may still grow, as lines."""

from __future__ import annotations

from textual.content import Content

from ollama_tui.panes.chat.markdown.blocks import Block, closed, open_kind
from ollama_tui.panes.chat.markdown.code import GrowingCode
from ollama_tui.panes.chat.markdown.draw import BLANK, Drawer
from ollama_tui.panes.chat.markdown.parser import References, parse_blocks
from ollama_tui.panes.chat.markdown.plain import GrowingPlain, draw_plain


class Body:
    """Settled blocks are drawn once a width; what is open is drawn again as it grows."""

    def __init__(self, text: str = "", *, whole: bool = False) -> None:
        self._text = ""
        self._blocks: list[Block] = []
        self._references = References()
        self._width = 0
        self._lines: list[Content] = []
        """Those of the first `_drawn` blocks."""
        self._drawn = 0
        self._drawer = Drawer(0, self._references)
        self._opening = ""
        self._code: tuple[int, GrowingCode] | None = None
        self._plain: tuple[int, GrowingPlain] | None = None
        self.show(text, whole=whole)

    @property
    def text(self) -> str:
        return self._text

    def show(self, text: str, *, whole: bool = False) -> None:
        """The text as it is now: what was there before, and more; `whole` when it is all."""
        known = len(self._references)
        if not text.startswith(self._text):
            self._blocks, self._drawn, self._lines = [], 0, []
        self._text = text
        self._blocks += closed(text, self._settled, references=self._references, whole=whole)
        if len(self._references) != known:
            self._forget()  # a link further up may be one now

    def last_code(self) -> str:
        """What the last fence or indented block holds, also one inside a list; empty where there is none."""
        tokens = parse_blocks(self._text, self._references)
        return next((token.content for token in reversed(tokens) if token.type in ("fence", "code_block")), "")

    @property
    def _settled(self) -> int:
        return self._blocks[-1].end if self._blocks else 0

    def _forget(self) -> None:
        self._lines, self._drawn = [], 0
        self._drawer = Drawer(self._width, self._references)

    def lines(self, width: int) -> list[Content]:
        """All of it, drawn at `width`."""
        if width != self._width:
            self._width = width
            self._forget()
            self._code = self._plain = None
        for block in self._blocks[self._drawn :]:
            _join(self._lines, self._draw(block))
        if self._drawn < len(self._blocks):
            self._drawn = len(self._blocks)
            self._drawer.forget()
        tail = self._tail()
        if not tail:
            return self._lines
        lines = self._lines.copy()
        _join(lines, tail)
        return lines

    def _draw(self, block: Block) -> list[Content]:
        text = self._text[block.start : block.end]
        if block.kind == "plain":
            return draw_plain(text, self._width)
        return self._drawer.draw(text)

    def _tail(self) -> list[Content]:
        start = self._settled
        text = self._text[start:]
        if not text.strip():
            return []
        match open_kind(self._text, start):
            case "plain":
                if self._plain is None or self._plain[0] != start:
                    self._plain = start, GrowingPlain(self._width)
                return self._plain[1].lines(text)
            case "fence":
                text = text.lstrip("\r\n")
                opening, _, code = text.partition("\n")
                if self._code is None or self._code[0] != start or opening != self._opening:
                    self._opening = opening
                    self._code = start, GrowingCode(opening.strip().lstrip("`~"), self._width)
                return self._code[1].lines(code)
            case _:
                return self._drawer.draw(text)


def _join(lines: list[Content], more: list[Content]) -> None:
    if lines and more:
        lines.append(BLANK)
    lines += more
