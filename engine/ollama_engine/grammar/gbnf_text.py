"""A grammar that a caller wrote, read as llama.cpp reads it, so that what is wrong is said before a model is asked.

llama.cpp answers a bad grammar with "no sampler" and a line on its log, and some that it takes make it work for ever:
those are refused here too. The syntax is that of llama.cpp's grammars/README.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NoReturn

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import charset
from ollama_engine.grammar.limits import check_size
from ollama_engine.grammar.nodes import NOTHING, Chars, Choice, Literal, Node, Ref, Repeat, Sequence, choice, seq

MAX_TEXT = 1_000_000
"""Characters of a grammar."""
MAX_NESTING = 100
MAX_REPEATED = 2000
"""llama.cpp writes repetitions out; what it would write beyond this it refuses, or silently leaves unbounded."""
HINT = 'The syntax is GBNF, as llama.cpp reads it: root ::= "yes" | "no". Rule names have letters, digits and \'-\'.'

_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_DIGITS = re.compile(r"[0-9]+")
_ESCAPED = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([trn\\"\[\]-]))')
_TOKEN = re.compile(r"!?<(?:\[[0-9]{1,9}\]|[^>\x00\[][^>\x00]*)>")
_SHORT = {"t": "\t", "r": "\r", "n": "\n"}


@dataclass(frozen=True)
class GrammarText:
    """A grammar that was read: its text, its rules, and where the name `root` stands in it."""

    text: str
    rules: dict[str, Node]
    roots: tuple[int, ...] = field(repr=False)

    def after(self, head: str) -> str:
        """The grammar of an answer that begins with `head`, GBNF, and goes on as this one says."""
        name = "answer"
        while name in self.rules:
            name += "-0"
        pieces: list[str] = []
        at = 0
        for root in self.roots:
            pieces += [self.text[at:root], name]
            at = root + len("root")
        body = "".join([*pieces, self.text[at:]])
        return f"root ::= {head} {name}\n{body}"


def read_gbnf(text: str) -> GrammarText:
    """Read a grammar.

    Raises:
        InvalidRequest: llama.cpp would not take it, or would not come to an end with it; names line and column.
    """
    if len(text) > MAX_TEXT:
        raise InvalidRequest(f"the grammar has {len(text):,} characters; the limit is {MAX_TEXT:,}")
    reader = _Reader(text)
    rules = reader.read()
    if "root" not in rules:
        raise InvalidRequest("invalid grammar: it has no rule named root", hint=HINT)
    for name, at in reader.used.items():
        if name not in rules:
            reader.fail(f'there is no rule named "{name[:80]}"', at)
    _refuse_left_recursion(rules)
    check_size(rules, of="grammar", hint="Make it smaller: fewer alternatives beside each other, smaller counts.")
    return GrammarText(text, rules, tuple(reader.roots))


class _Reader:
    """llama.cpp's parser over again, with places in its complaints."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._symbols = 0
        """Rules so far, those that groups and repetitions become included: what llama.cpp counts repetitions by."""
        self.used: dict[str, int] = {}
        """Each rule name and where it stands first."""
        self.roots: list[int] = []

    def read(self) -> dict[str, Node]:
        for bad in ("\x00", *(char for char in self._text if 0xD800 <= ord(char) <= 0xDFFF)):
            if bad in self._text:
                self.fail("a character that cannot stand in a grammar", self._text.index(bad))
        rules: dict[str, Node] = {}
        self._skip(lines=True)
        while self._at < len(self._text):
            name = self._name()
            self._skip(lines=False)
            if not self._take("::="):
                self.fail(f"expected ::= after the rule name {name[:80]}")
            self._skip(lines=True)
            rules[name] = self._alternatives(0)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                self.fail("expected the end of the line, or more of the rule")
            self._skip(lines=True)
        return rules

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        at = self._at if at is None else at
        before = self._text[:at]
        line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1) + 1
        found = repr(self._text[at]) if at < len(self._text) else "the end of the grammar"
        raise InvalidRequest(f"invalid grammar at line {line}, column {column}: {problem} (found {found})", hint=HINT)

    def _skip(self, *, lines: bool) -> None:
        found = (_SPACE_AND_LINES if lines else _SPACE).match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, literal: str) -> bool:
        if not self._text.startswith(literal, self._at):
            return False
        self._at += len(literal)
        return True

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if not found:
            self.fail("expected a rule name")
        if found.group() not in self.used:
            self._symbols += 1
            self.used[found.group()] = self._at
        if found.group() == "root":
            self.roots.append(self._at)
        self._at = found.end()
        return found.group()

    def _alternatives(self, depth: int) -> Node:
        if depth > MAX_NESTING:
            self.fail(f"more than {MAX_NESTING} groups inside one another")
        branches = [self._sequence(depth)]
        while self._take("|"):
            self._skip(lines=True)
            branches.append(self._sequence(depth))
        return choice(branches)

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        weight = 1
        while True:
            start = self._at
            symbols = self._symbols
            if (part := self._item(depth)) is not None:
                parts.append(part)
                weight = max(1, self._symbols - symbols) if self._text[start] == "(" else 1
            elif (counts := self._counts()) is not None:
                if not parts or parts[-1] == NOTHING:
                    self.fail("there is nothing before it to repeat", start)
                weight *= self._check_counts(*counts, weight, start)
                parts[-1] = Repeat(parts[-1], *counts)
            else:
                return seq(*parts) if parts else NOTHING
            self._skip(lines=depth > 0)

    def _item(self, depth: int) -> Node | None:
        char = self._text[self._at : self._at + 1]
        if char == '"':
            return self._literal()
        if char == "[":
            return self._chars()
        if char in ("<", "!") and char:
            found = _TOKEN.match(self._text, self._at)
            if not found:
                self.fail("expected a token, <name> or <[number]>")
            self._at = found.end()
            return Literal("?")
        if char == ".":
            self._at += 1
            return Chars(charset.ANY)
        if char == "(":
            self._at += 1
            self._skip(lines=True)
            self._symbols += 1
            inside = self._alternatives(depth + 1)
            if not self._take(")"):
                self.fail("expected ) at the end of the group")
            return inside
        return Ref(self._name()) if _NAME.match(char) else None

    def _literal(self) -> Node:
        start = self._at
        self._at += 1
        text: list[str] = []
        while not self._take('"'):
            text.append(self._char('the text that begins here has no closing "', start))
        return Literal("".join(text))

    def _chars(self) -> Node:
        start = self._at
        self._at += 1
        denied = self._take("^")
        ranges: list[tuple[int, int]] = []
        unclosed = "the characters that begin here have no closing ]"
        while not self._take("]"):
            low = ord(self._char(unclosed, start))
            high = low
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                high = ord(self._char(unclosed, start))
            ranges.append((low, max(low, high)))
        if not ranges:
            return NOTHING  # to llama.cpp it is
        chars = charset.union(ranges)
        return Chars(charset.invert(chars) if denied else chars)

    def _char(self, unclosed: str, start: int) -> str:
        if self._at >= len(self._text):
            self.fail(unclosed, start)
        if self._text[self._at] != "\\":
            self._at += 1
            return self._text[self._at - 1]
        found = _ESCAPED.match(self._text, self._at)
        if not found:
            self.fail('an escape that is none of \\t \\r \\n \\\\ \\" \\[ \\] \\- \\xFF \\uFFFF \\UFFFFFFFF')
        if found.group(4):
            self._at = found.end()
            return _SHORT.get(found.group(4), found.group(4))
        code = int(found.group(1) or found.group(2) or found.group(3), 16)
        if code > 0x10FFFF:
            self.fail("there is no such character")
        self._at = found.end()
        return chr(code)

    def _counts(self) -> tuple[int, int | None] | None:
        """What a repetition operator at this place says, or None where there is none."""
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return counts
        if not self._take("{"):
            return None
        self._skip(lines=False)
        least = self._number()
        most: int | None = least
        if self._take(","):
            self._skip(lines=False)
            most = self._number() if _DIGITS.match(self._text, self._at) else None
        if not self._take("}"):
            self.fail("expected } after the counts of a repetition")
        return least, most

    def _number(self) -> int:
        found = _DIGITS.match(self._text, self._at)
        if not found:
            self.fail("expected a number")
        if len(found.group()) > 9:
            self.fail(f"a repetition may count to {MAX_REPEATED}")
        self._at = found.end()
        self._skip(lines=False)
        return int(found.group())

    def _check_counts(self, least: int, most: int | None, weight: int, at: int) -> int:
        """By how much a repetition multiplies what it repeats."""
        if most is not None and most < least:
            self.fail("it repeats at most less often than at least", at)
        times = max(1, least if most is None else most)
        if times > MAX_REPEATED or weight * times > MAX_REPEATED:
            self.fail(f"it repeats more than {MAX_REPEATED} times, repetitions inside it counted", at)
        self._symbols += 1 if most is None else most - least
        return times


def _refuse_left_recursion(rules: dict[str, Node]) -> None:
    """No rule may begin with itself: llama.cpp would look for its first character for ever."""
    empty = _empty_rules(rules)
    leading = {name: dict.fromkeys(_leading(body, empty)) for name, body in rules.items()}
    done: set[str] = set()
    for start in rules:
        path: list[str] = []
        todo: list[tuple[str, bool]] = [(start, True)]
        while todo:
            name, enter = todo.pop()
            if not enter:
                path.pop()
                done.add(name)
            elif name in path:
                circle = " -> ".join([*path[path.index(name) :], name])
                raise InvalidRequest(
                    f"invalid grammar: left recursion, a rule that begins with itself: {circle[:200]}",
                    hint='Write a repetition instead: items ::= item ("," item)*',
                )
            elif name not in done:
                path.append(name)
                todo.append((name, False))
                todo += [(used, True) for used in leading[name]]


def _empty_rules(rules: dict[str, Node]) -> set[str]:
    """The rules that the empty text satisfies."""
    empty: set[str] = set()
    while more := {name for name, body in rules.items() if name not in empty and _may_be_empty(body, empty)}:
        empty |= more
    return empty


def _may_be_empty(node: Node, empty: set[str]) -> bool:
    match node:
        case Ref(name):
            return name in empty
        case Literal(text):
            return not text
        case Repeat(part, least):
            return least == 0 or _may_be_empty(part, empty)
        case Choice(branches):
            return any(_may_be_empty(branch, empty) for branch in branches)
        case Sequence(parts):
            return all(_may_be_empty(part, empty) for part in parts)
        case Chars():
            return False


def _leading(node: Node, empty: set[str]) -> list[str]:
    """Rules that a text of `node` may begin with."""
    match node:
        case Ref(name):
            return [name]
        case Repeat(part):
            # Of a part that may be empty, the second turn begins where the first one does: at the rule itself.
            return _leading(part, empty)
        case Choice(branches):
            return [name for branch in branches for name in _leading(branch, empty)]
        case Sequence(parts):
            names: list[str] = []
            for part in parts:
                names += _leading(part, empty)
                if not _may_be_empty(part, empty):
                    break
            return names
        case _:
            return []
