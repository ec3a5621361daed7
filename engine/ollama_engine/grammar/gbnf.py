"""A GBNF grammar as data, and its text for llama.cpp's grammar sampler.

Two things llama.cpp does not forgive are taken care of here. A rule from which no text can be finished would leave the
sampler without a token to choose: such branches are cut out before printing. And the parser copies repeated elements
and refuses, or silently unbounds, repetitions of 2000 and more: long ones are built from blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.charset import CharSet

MAX_RULES = 20_000
MAX_ELEMENTS = 200_000
"""Symbols of the grammar once its repetitions are written out, as llama.cpp does."""
MAX_PATHS = 100_000
"""Ways from a rule to its first characters. llama.cpp walks all of them, from each rule, when it loads a grammar."""
BLOCK = 500
"""The longest repetition that is left to llama.cpp."""


@dataclass(frozen=True)
class Literal:
    text: str


@dataclass(frozen=True)
class Chars:
    chars: CharSet


@dataclass(frozen=True)
class Ref:
    name: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of the branches; none at all is what nothing matches."""

    branches: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """`least` to `most` times (None: any number of times)."""

    part: Node
    least: int
    most: int | None


Node = Literal | Chars | Ref | Sequence | Choice | Repeat
NOTHING = Literal("")
"""The empty text."""
NEVER = Choice(())
"""What no text matches."""


def seq(*parts: Node | str) -> Node:
    nodes = tuple(Literal(part) if isinstance(part, str) else part for part in parts)
    return nodes[0] if len(nodes) == 1 else Sequence(tuple(node for node in nodes if node != NOTHING))


def choice(branches: Iterable[Node]) -> Node:
    distinct = tuple(dict.fromkeys(branches))
    return distinct[0] if len(distinct) == 1 else Choice(distinct)


def optional(node: Node) -> Node:
    return Repeat(node, 0, 1)


class Grammar:
    """Rules under construction; `text` prints those that `root` needs."""

    def __init__(self) -> None:
        self._rules: dict[str, Node] = {}
        self._used: dict[str, int] = {}

    def reserve(self, hint: str) -> Ref:
        """A new rule's name, made from `hint`; give it its body with `define`."""
        base = re.sub(r"[^A-Za-z0-9]+", "-", hint).strip("-")[:40] or "rule"
        count = self._used[base] = self._used.get(base, 0) + 1
        name = base if count == 1 else f"{base}-{count}"
        while name in self._rules:  # a hint may look like another hint with a number
            count = self._used[base] = self._used[base] + 1
            name = f"{base}-{count}"
        if len(self._rules) >= MAX_RULES:
            raise InvalidRequest(f"the schema needs more than {MAX_RULES} grammar rules", hint=SMALLER)
        self._rules[name] = NEVER
        return Ref(name)

    def define(self, ref: Ref, body: Node) -> Ref:
        self._rules[ref.name] = body
        return ref

    def rule(self, hint: str, body: Node) -> Ref:
        return self.define(self.reserve(hint), body)

    def repeat(self, part: Node, least: int, most: int | None, hint: str) -> Node:
        """`part` `least` to `most` times, in blocks where that is often."""
        if least > BLOCK:
            block = self.rule(f"{hint}-block", Repeat(part, BLOCK, BLOCK))
            blocks = self.repeat(block, least // BLOCK, least // BLOCK, hint)
            return seq(
                blocks, self.repeat(part, least % BLOCK, None if most is None else most - least + least % BLOCK, hint)
            )
        if most is None or most <= BLOCK:
            return Repeat(part, least, most)
        if least:
            return seq(Repeat(part, least, least), self.repeat(part, 0, most - least, hint))
        block = self.rule(f"{hint}-block", Repeat(part, BLOCK, BLOCK))
        short = self.rule(f"{hint}-short", Repeat(part, 0, BLOCK - 1))
        tail: Node = self.rule(f"{hint}-last", Repeat(part, 0, most % BLOCK))
        for _ in range(most // BLOCK):
            tail = self.rule(f"{hint}-up-to", choice([short, seq(block, tail)]))
        return tail

    def text(self, root: Ref) -> str:
        """The grammar with `root` as its start rule.

        Raises:
            InvalidRequest: nothing matches `root`, or the grammar is too large for llama.cpp.
        """
        productive = _productive(self._rules)
        if root.name not in productive:
            raise InvalidRequest(
                "invalid JSON schema: no value satisfies it", hint="Look for keywords that contradict one another."
            )
        rules = _reachable(
            {name: _cut(self._rules[name], productive) for name in self._rules if name in productive}, root
        )
        _check_size(rules)
        names = {name: "root" if name == root.name else name if name != "root" else "root-0" for name in rules}
        return "".join(f"{names[name]} ::= {_print(body, names)}\n" for name, body in rules.items())


SMALLER = "Make the schema smaller: fewer alternatives, shorter patterns, lower maxItems and maxLength."


def _can_finish(node: Node, productive: set[str]) -> bool:
    match node:
        case Ref(name):
            return name in productive
        case Sequence(parts):
            return all(_can_finish(part, productive) for part in parts)
        case Choice(branches):
            return any(_can_finish(branch, productive) for branch in branches)
        case Repeat(part, least):
            return least == 0 or _can_finish(part, productive)
        case Chars(chars):
            return bool(chars)
        case Literal():
            return True


def _references(node: Node) -> Iterable[str]:
    match node:
        case Ref(name):
            yield name
        case Sequence(parts) | Choice(parts):
            for part in parts:
                yield from _references(part)
        case Repeat(part):
            yield from _references(part)
        case _:
            return


def _productive(rules: dict[str, Node]) -> set[str]:
    """The rules from which some text can be finished."""
    users: dict[str, list[str]] = {}
    for name, body in rules.items():
        for used in set(_references(body)):
            users.setdefault(used, []).append(name)
    productive: set[str] = set()
    todo = list(rules)
    while todo:
        name = todo.pop()
        if name not in productive and _can_finish(rules[name], productive):
            productive.add(name)
            todo += users.get(name, ())
    return productive


def _cut(node: Node, productive: set[str]) -> Node:
    """`node` without the branches that cannot finish."""
    match node:
        case Sequence(parts):
            return seq(*(_cut(part, productive) for part in parts))
        case Choice(branches):
            return choice(_cut(branch, productive) for branch in branches if _can_finish(branch, productive))
        case Repeat(part, least, most):
            return Repeat(_cut(part, productive), least, most) if _can_finish(part, productive) else NOTHING
        case _:
            return node


def _reachable(rules: dict[str, Node], root: Ref) -> dict[str, Node]:
    order = {root.name: rules[root.name]}
    todo = [root.name]
    while todo:
        for name in _references(rules[todo.pop()]):
            if name not in order:
                order[name] = rules[name]
                todo.append(name)
    return order


# -- size ------------------------------------------------------------------------------------------------------


def _check_size(rules: dict[str, Node]) -> None:
    if sum(_elements(body) for body in rules.values()) > MAX_ELEMENTS:
        raise InvalidRequest(f"the schema's grammar has more than {MAX_ELEMENTS} symbols", hint=SMALLER)
    paths: dict[str, int] = {}
    for name in rules:
        _count_paths(rules, name, paths)
    if sum(paths.values()) > MAX_PATHS:
        raise InvalidRequest("the schema's alternatives branch too often before their first character", hint=SMALLER)


def _elements(node: Node) -> int:
    match node:
        case Literal(text):
            return len(text)
        case Chars(chars):
            return 2 * len(chars)
        case Sequence(parts) | Choice(parts):
            return 1 + sum(_elements(part) for part in parts)
        case Repeat(part, least, most):
            return (_elements(part) + 2) * max(1, least, most or 0)
        case Ref():
            return 1


def _count_paths(rules: dict[str, Node], start: str, paths: dict[str, int]) -> None:
    """Fill in, for `start` and the rules it may begin with, how many ways lead on from there."""
    todo = [start]
    entered: set[str] = set()
    while todo:
        name = todo[-1]
        if name in paths:
            todo.pop()
            continue
        leading = [used for used, _ in _leading(rules[name])]
        missing = [used for used in leading if used not in paths]
        if missing and name not in entered:
            entered.add(name)
            if any(used in entered for used in missing):
                raise InvalidRequest("invalid JSON schema: it refers to itself without anything in between")
            todo += missing
            continue
        paths[name] = 1 + sum(paths.get(used, 0) for used in leading)
        if paths[name] > MAX_PATHS:
            raise InvalidRequest(
                "the schema's alternatives branch too often before their first character", hint=SMALLER
            )
        todo.pop()


def _leading(node: Node) -> Iterable[tuple[str, bool]]:
    """Rules that a text of `node` may begin with."""
    match node:
        case Ref(name):
            yield name, True
        case Choice(branches):
            for branch in branches:
                yield from _leading(branch)
        case Repeat(part):
            yield from _leading(part)
        case Sequence(parts):
            for part in parts:
                yield from _leading(part)
                if not _may_be_empty(part):
                    return
        case _:
            return


def _may_be_empty(node: Node) -> bool:
    match node:
        case Literal(text):
            return not text
        case Repeat(part, least):
            return least == 0 or _may_be_empty(part)
        case Choice(branches):
            return any(_may_be_empty(branch) for branch in branches)
        case Sequence(parts):
            return all(_may_be_empty(part) for part in parts)
        case _:
            return False


# -- text ------------------------------------------------------------------------------------------------------


def _print(node: Node, names: dict[str, str]) -> str:
    match node:
        case Choice(branches):
            return " | ".join(_print(branch, names) for branch in branches)
        case Sequence(parts):
            return " ".join(_print_part(part, names) for part in parts) or '""'
        case _:
            return _print_part(node, names)


def _print_part(node: Node, names: dict[str, str]) -> str:
    match node:
        case Literal(text):
            return '"' + "".join(_escape(ord(char), '"\\') for char in text) + '"'
        case Chars(chars):
            ranges = (_escape(a, SPECIAL) + (f"-{_escape(b, SPECIAL)}" if b > a else "") for a, b in chars)
            return "[" + "".join(ranges) + "]"
        case Ref(name):
            return names[name]
        case Repeat(part, least, most):
            inner = _print_part(part, names)
            counts = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
            return inner + {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((least, most), counts)
        case _:
            return f"({_print(node, names)})"


SPECIAL = "\\]^-["


def _escape(code: int, special: str) -> str:
    if 0x20 <= code < 0x7F:
        char = chr(code)
        return f"\\x{code:02X}" if char in special and char in "^" else f"\\{char}" if char in special else char
    if 0xA1 <= code <= 0x2FFF:
        return chr(code)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
