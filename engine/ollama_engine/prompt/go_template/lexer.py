"""Cuts a Go template into tokens, as `text/template/parse` does; `parser.py` reads them.

Trim markers (`{{- ` and ` -}}`) and comments are dealt with here: what the parser sees is trimmed text.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from ollama_engine.prompt.go_template.source import Source

_SPACE = " \t\r\n"
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?"
    r"|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?)i?"
)
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHAR = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"))
_AFTER_OPERAND = frozenset(".,|:=()" + _SPACE)


@dataclass(frozen=True)
class Token:
    """`kind` is `text`, `open`, `close`, `space`, `eof`, `keyword`, `bool`, `identifier`, `field`, `dot`,
    `variable`, `number`, `char`, `string`, `raw`, or the punctuation itself."""

    kind: str
    text: str
    position: int


def tokens(source: Source) -> Iterator[Token]:
    """The tokens of a template, ending with `eof`; raises `TemplateError` where no token can be."""
    text = source.text
    at = 0
    trim = False
    while at < len(text):
        opening = text.find("{{", at)
        end = len(text) if opening < 0 else opening
        body = text[at:end]
        start = at
        if trim:
            stripped = body.lstrip(_SPACE)
            start += len(body) - len(stripped)
            body = stripped
        trim = False
        if opening >= 0 and _left_trim(text, opening + 2):
            body = body.rstrip(_SPACE)
        if body:
            yield Token("text", body, start)
        if opening < 0:
            break
        inside = opening + (3 if _left_trim(text, opening + 2) else 2)
        comment = inside + len(text[inside:]) - len(text[inside:].lstrip(_SPACE)) if inside == opening + 3 else inside
        if text.startswith("/*", comment):
            at, trim = _comment(source, comment)
            continue
        yield Token("open", "{{", opening)
        at, trim = yield from _action(source, opening, inside)
        yield Token("close", "}}", at - 2)
    yield Token("eof", "", len(text))


def _left_trim(text: str, at: int) -> bool:
    return text.startswith("-", at) and at + 1 < len(text) and text[at + 1] in _SPACE


def _close(text: str, at: int) -> tuple[int, bool]:
    """Where the action's `}}` ends if it begins at `at` (0 if not), and whether it trims what follows."""
    if text.startswith("}}", at):
        return at + 2, False
    if at < len(text) and text[at] in _SPACE and text.startswith("-}}", at + 1):
        return at + 4, True
    return 0, False


def _comment(source: Source, start: int) -> tuple[int, bool]:
    end = source.text.find("*/", start + 2)
    if end < 0:
        raise source.error(start, "unclosed comment")
    after, trim = _close(source.text, end + 2)
    if not after:
        raise source.error(start, "comment ends before closing delimiter")
    return after, trim


def _action(source: Source, opening: int, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """The tokens of one action; returns where it ends and whether it trims what follows."""
    text = source.text
    depth = 0
    while True:
        end, trim = _close(text, at)
        if end:
            if depth:
                raise source.error(at, "unclosed left paren")
            return end, trim
        if at >= len(text):
            raise source.error(opening, "unclosed action")
        token = _token(source, at)
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
            if depth < 0:
                raise source.error(at, "unexpected right paren")
        yield token
        at += len(token.text)


def _token(source: Source, at: int) -> Token:
    text = source.text
    char = text[at]
    if char in _SPACE:
        end = at
        while end < len(text) and text[end] in _SPACE and not _close(text, end)[0]:
            end += 1
        return Token("space", text[at:end], at)
    if text.startswith(":=", at):
        return Token(":=", ":=", at)
    if char == ":":
        raise source.error(at, "expected :=")
    if char in "=|(),":
        return Token(char, char, at)
    if char in "\"'`":
        return _quoted(source, at)
    if char in "+-" or char.isdecimal() or (char == "." and text[at + 1 : at + 2].isdecimal()):
        return _number(source, at)
    if char == "." or char == "$" or _is_word(char):
        return _name(source, at)
    if " " < char <= "~":
        return Token("other", char, at)
    raise source.error(at, f"unrecognized character in action: U+{ord(char):04X}")


def _quoted(source: Source, at: int) -> Token:
    text = source.text
    if text[at] == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise source.error(at, "unterminated raw quoted string")
        return Token("raw", text[at : end + 1], at)
    kind, pattern = ("string", _STRING) if text[at] == '"' else ("char", _CHAR)
    match = pattern.match(text, at)
    if match is None:
        raise source.error(at, "unterminated " + ("quoted string" if kind == "string" else "character constant"))
    return Token(kind, match.group(), at)


def _number(source: Source, at: int) -> Token:
    match = _NUMBER.match(source.text, at)
    end = match.end() if match else at
    following = source.text[end : end + 1]
    if end == at or (following and _is_word(following)):
        raise source.error(at, f"bad number syntax: {source.text[at : end + 1]!r}")
    return Token("number", source.text[at:end], at)


def _name(source: Source, at: int) -> Token:
    text = source.text
    end = at + (0 if _is_word(text[at]) else 1)
    while end < len(text) and _is_word(text[end]):
        end += 1
    name = text[at:end]
    following = text[end : end + 1]
    if following and following not in _AFTER_OPERAND and not text.startswith("}}", end):
        raise source.error(end, f"bad character U+{ord(following):04X} {following!r}")
    if name[0] == ".":
        return Token("dot" if name == "." else "field", name, at)
    if name[0] == "$":
        return Token("variable", name, at)
    if name in ("true", "false"):
        return Token("bool", name, at)
    return Token("keyword" if name in _KEYWORDS else "identifier", name, at)


def _is_word(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()
