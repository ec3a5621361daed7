"""Code in a fence, coloured by Pygments in the colours of the theme."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from textual.content import Content, Span

from ollama_tui.panes.chat.markdown.wrap import fill, fold
from ollama_tui.text import one_line, visible

if TYPE_CHECKING:
    from pygments.lexer import Lexer

BACKGROUND = "on $surface"
CHUNK = 50
"""Lines that are coloured together while the code grows; the others are kept as they are drawn."""
LONGEST_COLOURED = 50_000
"""Characters: a fence longer than this is shown in one colour, for to colour it takes seconds."""


class GrowingCode:
    """The lines of an open fence: only the last few are coloured again when more comes."""

    def __init__(self, info: str, width: int) -> None:
        self._language = info
        self._width = width
        self._kept: list[Content] = code_header(info, width)
        self._done = 0
        """Characters of the code that `_kept` shows."""

    def lines(self, code: str) -> list[Content]:
        rest = code[self._done :]
        while rest.count("\n") > 2 * CHUNK:
            end = _after_lines(rest, CHUNK)
            self._kept += code_lines(rest[:end], self._language, self._width)
            self._done += end
            rest = rest[end:]
        return [*self._kept, *code_lines(rest, self._language, self._width)]


def draw_code(code: str, info: str, width: int) -> list[Content]:
    """A whole fence or an indented block."""
    return [*code_header(info, width), *code_lines(code, info, width)]


def code_header(info: str, width: int) -> list[Content]:
    """The language, where it is told."""
    language = one_line(info.split(maxsplit=1)[0])[: width - 2] if info.strip() else ""
    if not language:
        return []
    return [fill(Content.styled(f" {language}", "$muted"), width).stylize_before(BACKGROUND)]


def code_lines(code: str, info: str, width: int) -> list[Content]:
    text = visible(code).expandtabs(4)
    text = text.removesuffix("\n")
    lines = Content(text, _spans(text, info)).split(allow_blank=True)
    drawn = (fill(Content(" ") + part, width) for line in lines for part in fold(line, max(4, width - 2)))
    return [line.stylize_before(BACKGROUND) for line in drawn]


def _spans(code: str, info: str) -> list[Span]:
    if len(code) > LONGEST_COLOURED:
        return []
    lexer = _lexer(info.split(maxsplit=1)[0].lower() if info.strip() else "")
    if lexer is None:
        return []
    spans: list[Span] = []
    for start, kind, text in lexer.get_tokens_unprocessed(code):
        style = _style(kind)
        if not style or not text.strip():
            continue
        end = start + len(text)
        if spans and spans[-1].style == style and not code[spans[-1].end : start].strip(" "):
            spans[-1] = Span(spans[-1].start, end, style)  # fewer pieces are fewer bytes
        else:
            spans.append(Span(start, end, style))
    return spans


@lru_cache(maxsize=32)
def _lexer(name: str) -> Lexer | None:
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    if not name:
        return None
    try:
        return get_lexer_by_name(name)
    except ClassNotFound:
        return None


@lru_cache(maxsize=256)
def _style(kind: Any) -> str:
    """The style of the nearest kind above that has one."""
    from pygments.token import Token

    styles = {
        Token.Comment: "$muted italic",
        Token.Keyword: "$accent",
        Token.Operator.Word: "$accent",
        Token.Literal.String: "$success",
        Token.Literal.Number: "$warning",
        Token.Name.Function: "$primary",
        Token.Name.Class: "$primary",
        Token.Name.Decorator: "$secondary",
        Token.Name.Tag: "$primary",
        Token.Name.Attribute: "$warning",
        Token.Generic.Deleted: "$error",
        Token.Generic.Inserted: "$success",
        Token.Generic.Heading: "bold",
    }
    while kind:
        if kind in styles:
            return styles[kind]
        kind = kind[:-1]
    return ""


def _after_lines(text: str, count: int) -> int:
    position = 0
    for _ in range(count):
        position = text.index("\n", position) + 1
    return position
