"""The blocks of a Markdown text as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it.token import Token
from textual.content import Content

from ollama_tui.panes.chat.markdown.code import draw_code
from ollama_tui.panes.chat.markdown.inline import styled
from ollama_tui.panes.chat.markdown.parser import References, parse_blocks, parse_inline
from ollama_tui.panes.chat.markdown.table import draw_table
from ollama_tui.panes.chat.markdown.wrap import wrap
from ollama_tui.text import visible

BLANK = Content("")
NARROWEST = 12
"""Columns that are left to what is nested, however deep."""
_HEADINGS = {"h1": "bold underline $accent", "h2": "bold $accent"}


class Drawer:
    """Draws the blocks of one message at one width; keeps the paragraphs of a list that grows."""

    def __init__(self, width: int, references: References) -> None:
        self._width = width
        self._references = references
        self._inline: dict[str, Content] = {}
        self._wrapped: dict[tuple[str, int], list[Content]] = {}

    def draw(self, text: str) -> list[Content]:
        """The lines of `text`, which is whole blocks; none before the first and after the last."""
        return self._blocks(parse_blocks(visible(text), self._references), self._width)

    def forget(self) -> None:
        """Drop what is kept: the block that grew is settled."""
        self._inline.clear()
        self._wrapped.clear()

    def _blocks(self, tokens: Sequence[Token], width: int, *, tight: bool = False) -> list[Content]:
        lines: list[Content] = []
        for block in _siblings(tokens):
            drawn = self._block(block, max(width, NARROWEST))
            if lines and drawn and not tight:
                lines.append(BLANK)
            lines += drawn
        return lines

    def _block(self, tokens: Sequence[Token], width: int) -> list[Content]:
        first = tokens[0]
        match first.type:
            case "paragraph_open":
                return self._paragraph(tokens[1], width)
            case "heading_open":
                style = _HEADINGS.get(first.tag, "bold")
                return wrap(self._styled(tokens[1]).stylize_before(style), width)
            case "bullet_list_open" | "ordered_list_open":
                return self._list(tokens, width)
            case "blockquote_open":
                bar = Content.styled("▎ ", "$muted")
                return [bar + line for line in self._blocks(tokens[1:-1], width - 2)]
            case "fence" | "code_block":
                return draw_code(first.content, first.info, width)
            case "table_open":
                return draw_table(tokens, width, self._styled)
            case "hr":
                return [Content.styled("─" * min(width, 40), "$border-blurred")]
            case "inline":
                return self._paragraph(first, width)
            case _:
                return wrap(Content(visible(first.content)), width) if first.content else []

    def _paragraph(self, token: Token, width: int) -> list[Content]:
        key = (token.content, width)
        if key not in self._wrapped:
            self._wrapped[key] = wrap(self._styled(token), width)
        return self._wrapped[key]

    def _styled(self, token: Token) -> Content:
        known = self._inline.get(token.content)
        if known is None:
            known = self._inline[token.content] = styled(parse_inline(token.content, self._references))
        return known

    def _list(self, tokens: Sequence[Token], width: int) -> list[Content]:
        items = list(_siblings(tokens[1:-1]))
        number = int(tokens[0].attrs.get("start", 1))
        ordered = tokens[0].type == "ordered_list_open"
        markers = [f"{number + index}. " if ordered else "• " for index in range(len(items))]
        indent = max((len(marker) for marker in markers), default=0)
        loose = any(token.type == "paragraph_open" and not token.hidden and token.level == 2 + tokens[0].level
                    for token in tokens)  # fmt: skip
        lines: list[Content] = []
        for marker, item in zip(markers, items, strict=True):
            drawn = self._blocks(item[1:-1], width - indent, tight=not loose) or [BLANK]
            if lines and loose:
                lines.append(BLANK)
            lines.append(Content.styled(marker.rjust(indent), "$muted") + drawn[0])
            lines += [line.pad_left(indent) if line else line for line in drawn[1:]]
        return lines


def _siblings(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The blocks side by side in `tokens`, each with what it holds."""
    start = depth = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            yield tokens[start : index + 1]
            start = index + 1
