"""The Markdown that models write: GitHub's, with raw HTML shown as the text it is.

Blocks and what stands inside them are parsed apart: of a growing list only the item that changed is parsed inside.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token


class References:
    """The link definitions that a text has: `[name]: address`."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._known)

    def environment(self, *, lasting: bool) -> dict[str, Any]:
        """markdown-it's; definitions that it finds are kept where `lasting`."""
        return {"references": self._known if lasting else dict(self._known)}


@cache
def _whole() -> MarkdownIt:
    return MarkdownIt("gfm-like").disable(["html_block", "html_inline"])


@cache
def _blocks_only() -> MarkdownIt:
    return MarkdownIt("gfm-like").disable(["html_block", "inline", "linkify", "replacements", "smartquotes"], True)


def parse_blocks(text: str, references: References, *, lasting: bool = False) -> list[Token]:
    """Tokens of the blocks; those of type `inline` have their text and no children."""
    return _blocks_only().parse(text, references.environment(lasting=lasting))


def parse_inline(text: str, references: References) -> list[Token]:
    """What stands inside a paragraph, a heading or a cell."""
    tokens = _whole().parseInline(text, references.environment(lasting=False))
    return (tokens[0].children if tokens else None) or []
