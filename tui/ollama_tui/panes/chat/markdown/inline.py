"""What stands inside a paragraph, as styled text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it.token import Token
from textual.content import Content, Span
from textual.style import Style

from ollama_tui.text import visible

CODE = "$accent"
LINK = "underline $primary"
_STYLES = {"strong_open": "bold", "em_open": "italic", "s_open": "strike"}
_BLANKS = re.compile(r"[ \t]+")


def styled(tokens: Sequence[Token]) -> Content:
    """The text of inline tokens; lines end where the writer ended them."""
    parts: list[str] = []
    spans: list[Span] = []
    opened: list[tuple[int, str | Style]] = []
    position = 0

    def add(text: str, style: str | Style = "") -> None:
        nonlocal position
        text = visible(text)
        parts.append(text)
        if style:
            spans.append(Span(position, position + len(text), style))
        position += len(text)

    for token in tokens:
        match token.type:
            case "text":
                add(_BLANKS.sub(" ", token.content))
            case "softbreak" | "hardbreak":
                add("\n")
            case "code_inline":
                add(_BLANKS.sub(" ", token.content), CODE)
            case "link_open":
                opened.append((position, _link(str(token.attrs.get("href", "")))))
            case "image":
                source = str(token.attrs.get("src", ""))
                add(f"[image: {token.content or source}]", _link(source))
            case kind if kind in _STYLES:
                opened.append((position, _STYLES[kind]))
            case kind if kind.endswith("_close") and opened:
                start, style = opened.pop()
                spans.append(Span(start, position, style))
                if isinstance(style, Style):
                    spans.append(Span(start, position, LINK))
            case _:
                add(token.content)
    return Content("".join(parts), spans)


def _link(target: str) -> Style:
    return Style.from_meta({"@click": f"open_link({visible(target)!r})"})
