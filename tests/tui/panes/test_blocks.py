"""Which part of a growing Markdown text is settled, and that it looks the same however the text arrived."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token
from textual.content import Content

from ollama_tui.panes.chat.markdown import Body, blocks
from ollama_tui.panes.chat.markdown.blocks import LONG, Block, closed
from ollama_tui.panes.chat.markdown.draw import Drawer
from ollama_tui.panes.chat.markdown.parser import References, parse_blocks
from ollama_tui.text import visible

WIDTH = 60

PIECES = st.sampled_from(
    [
        *("a word ", "more", "\n", "\n\n", " ", "  ", "    ", "\t", "\r\n"),
        *("```", "```py\n", "~~~", "~~~\n", "````\n", "`", "x = 1\n"),
        *("- ", "1. ", "2) ", "* ", "> ", "# ", "---\n", "===\n", "***\n"),
        *("| a | b |\n", "|---|:-:|\n", "| `1` | **2** |\n"),
        *(
            "**",
            "*",
            "[a]",
            "[a]: http://a.b\n",
            "[link](http://x.y)",
            "&#27;[31m",
            "\x1b]52;c;aGk=\x07",
            "<b>",
            "[/b]",
        ),
        *("日本語", "e\u0301", "שלום", "👩‍💻"),
    ]
)
TEXTS = st.lists(PIECES, max_size=40)


def blocks_of(parts: list[str]) -> tuple[list[Block], str]:
    """What was closed while the parts came in, and what was left open before the end was told."""
    text, found, references = "", list[Block](), References()
    for part in parts:
        text += part
        found += closed(text, found[-1].end if found else 0, references=references)
    return found, text


def looks(lines: list[Content]) -> list[tuple[str, list[object]]]:
    return [(line.plain, list(line.spans)) for line in lines]


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("a paragraph", ""),
        ("a paragraph\n\n", ""),
        ("a paragraph\n\nnext", ""),
        ("a paragraph\n\nnext\n", "a paragraph\n\n"),
        ("one\r\n\r\ntwo\r\n", "one\r\n\r\n"),
        ("- a\n\n- b\n\n  c\n", ""),
        ("- a\n\n- b\n\nend\n", "- a\n\n- b\n\n"),
        ("1. a\n\n   ```\n   b\n\n   c\n   ```\n\n2. d\n", ""),
        ("text\n-", ""),
        ("text\n# not yet", ""),
        ("text\n# yet\n", "text\n"),
        ("```py\na\n\nb", ""),
        ("\n\n```py\na\n\nb\n```\n", "\n\n```py\na\n\nb\n```\n"),
        ("~~~\n```\n\n~~~\nend", "~~~\n```\n\n~~~\n"),
        ("````\n```\n\n````\n", "````\n```\n\n````\n"),
        ("```not a `fence```\n\nend\n", "```not a `fence```\n\n"),
        ("| a |\n|---|\n| 1 |\n", ""),
        ("| a |\n|---|\n| 1 |\n\nend\n", "| a |\n|---|\n| 1 |\n\n"),
    ],
)
def test_a_block_is_settled_when_nothing_can_change_it(text: str, settled: str) -> None:
    found, _ = blocks_of([text])
    assert text[: found[-1].end if found else 0] == settled


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_settled_blocks_and_the_rest_are_the_text_however_it_arrives(parts: list[str]) -> None:
    found, text = blocks_of(parts)
    assert [block.start for block in found] == [0, *(block.end for block in found)][: len(found)]
    assert found == closed(text, 0, references=References())
    whole = closed(text, 0, references=References(), whole=True)
    assert whole[: len(found)] == found
    assert not text or whole[-1].end == len(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_an_answer_that_grew_looks_like_the_whole_parsed_at_once(parts: list[str]) -> None:
    body, text = Body(), ""
    for part in parts:
        text += part
        body.show(text)
        body.lines(WIDTH)
    body.show(text, whole=True)
    grown = looks(body.lines(WIDTH))
    assert grown == looks(Body(text, whole=True).lines(WIDTH))
    references = References()
    parse_blocks(visible(text), references, lasting=True)
    assert grown == looks(Drawer(WIDTH, references).draw(text))
    assert not {"\x1b", "\x07", "\x9b"} & set("".join(line for line, _ in grown))


def test_a_line_of_a_megabyte_is_plain_text_and_each_frame_of_it_is_cheap() -> None:
    body, text = Body(), ""
    for _ in range(200):
        text += "word " * 1000
        body.show(text)
        lines = body.lines(WIDTH)
    body.show(text, whole=True)
    assert [line.plain for line in body.lines(WIDTH)] == [line.plain for line in lines]
    assert len(lines) == -(-200 * 1000 // (WIDTH // 5))


def test_a_list_without_end_is_settled_in_pieces() -> None:
    text = "".join(f"- item {number}\n" for number in range(3000))
    body = Body(text, whole=True)
    assert all(block.end - block.start <= LONG for block in closed(text, 0, references=References(), whole=True))
    assert sum(line.plain.startswith("• item") for line in body.lines(WIDTH)) == 3000


def test_what_stands_before_a_fence_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer full of code took seconds: all that follows was parsed again for each block of it."""
    parsed: list[int] = []

    def counted(text: str, references: References, *, lasting: bool = False) -> list[Token]:
        parsed.append(len(text))
        return parse_blocks(text, references, lasting=lasting)

    monkeypatch.setattr(blocks, "parse_blocks", counted)
    text = "some words\n\n```py\nx = 1\n```\n\n" * 300
    closed(text, 0, references=References(), whole=True)
    assert sum(parsed) < 2 * len(text)
