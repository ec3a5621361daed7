"""A GBNF grammar as data, and its text for llama.cpp's grammar sampler.

Two things llama.cpp does not forgive are taken care of here. A rule from which no text can be finished would leave the
sampler without a token to choose: such branches are cut out before printing. And the parser copies repeated elements
and refuses, or silently unbounds, repetitions of 2000 and more: long ones are built from blocks.
"""

from __future__ import annotations

import re

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.limits import SMALLER, check_size, cut, productive_rules, reachable
from ollama_engine.grammar.nodes import NEVER, Chars, Choice, Literal, Node, Ref, Repeat, Sequence, choice, seq

MAX_RULES = 20_000
BLOCK = 500
"""The longest repetition that is left to llama.cpp."""


class Grammar:
    """Rules under construction; `text` prints those that `root` needs."""

    def __init__(self) -> None:
        self.rules: dict[str, Node] = {}
        self._used: dict[str, int] = {}

    def reserve(self, hint: str) -> Ref:
        """A new rule's name, made from `hint`; give it its body with `define`."""
        base = re.sub(r"[^A-Za-z0-9]+", "-", hint).strip("-")[:40] or "rule"
        count = self._used[base] = self._used.get(base, 0) + 1
        name = base if count == 1 else f"{base}-{count}"
        while name in self.rules:  # a hint may look like another hint with a number
            count = self._used[base] = self._used[base] + 1
            name = f"{base}-{count}"
        if len(self.rules) >= MAX_RULES:
            raise InvalidRequest(f"the schema needs more than {MAX_RULES} grammar rules", hint=SMALLER)
        self.rules[name] = NEVER
        return Ref(name)

    def define(self, ref: Ref, body: Node) -> Ref:
        self.rules[ref.name] = body
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
        productive = productive_rules(self.rules)
        if root.name not in productive:
            raise InvalidRequest(
                "invalid JSON schema: no value satisfies it", hint="Look for keywords that contradict one another."
            )
        rules = reachable({name: cut(self.rules[name], productive) for name in self.rules if name in productive}, root)
        check_size(rules)
        names = {name: "root" if name == root.name else name if name != "root" else "root-0" for name in rules}
        return "".join(f"{names[name]} ::= {_print(body, names)}\n" for name, body in rules.items())


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
