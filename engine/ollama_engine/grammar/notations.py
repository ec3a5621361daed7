"""Other notations than JSON for the values of a schema: what tool calls are written in, and what may not occur in them.

`JsonWithout` is JSON in which some texts never occur as they are; `PythonRules` writes Python's literals; `LooseRules`
objects with bare keys and text between quote markers. `RawText` is text that stands for itself up to a marker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ollama_engine.grammar import charset
from ollama_engine.grammar.automaton import Automaton, TooManyStates, explore, intersection, lengths
from ollama_engine.grammar.charset import CharSet
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.json_rules import PLAIN, JsonRules
from ollama_engine.grammar.nodes import NOTHING, Chars, Literal, Node, Ref, Repeat, choice, optional, seq

RAW: CharSet = charset.subtract(charset.ANY, ((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x7F)))
"""What raw text is made of: no control characters but tabs and line ends."""
LOOSE_KEY = charset.union(charset.WORD, charset.of(".-"))
_LOOSE_KEY = re.compile(r"[\w.\-]+", re.ASCII)


class Unwritable(Exception):
    """A name or a value that a notation has no form for."""


class RawText:
    """Text in which none of `markers` occurs, and after which the first of them is found where it stands.

    Args:
        first: what its first character may be.
    """

    def __init__(self, rules: JsonRules, markers: Sequence[str], first: CharSet = RAW) -> None:
        self._rules = rules
        self._first = first
        self.char = Chars(charset.subtract(RAW, charset.of("".join(marker[:1] for marker in markers))))
        """A character that cannot begin a marker."""
        self._free = without([marker for marker in markers if marker])
        if first != RAW:
            self._free = intersection(self._free, _begins_with(first))

    def text(self, wanted: Automaton | None, least: int, most: int | None, hint: str) -> Node:
        """Raw text that `wanted` accepts, or of a number of characters.

        Raises:
            TooManyStates: `wanted` is too large for that.
        """
        if wanted is not None:
            return self._rules.bare(intersection(wanted, self._free), hint)
        if least == 0 and most is None:
            return self._rules.bare(self._free, hint)
        try:
            return self._rules.bare(intersection(lengths(least, most, RAW), self._free), hint)
        except TooManyStates:
            return self._of_length(least, most, hint)

    def _of_length(self, least: int, most: int | None, hint: str) -> Node:
        """Fewer texts, and grammar's own counting: without what a marker begins with."""
        first = Chars(charset.intersect(self._first, self.char.chars))
        rest = self._rules.grammar.repeat(self.char, max(0, least - 1), None if most is None else most - 1, hint)
        return optional(seq(first, rest)) if least == 0 else seq(first, rest)

    def holds(self, text: str) -> bool:
        """Whether `text` is raw text that can be told from what follows it."""
        return self._free.matches(text)


def _begins_with(first: CharSet) -> Automaton:
    """Raw text that is empty or begins so."""

    def moves(begun: bool) -> Iterable[tuple[int, int, bool]]:
        for low, high in RAW if begun else first:
            yield low, high, True

    return explore(False, moves, lambda _: True)


def without(markers: Sequence[str]) -> Automaton:
    """Texts of RAW that none of `markers` occurs in, also not across the end where the first of them follows."""

    def longest_begun(text: str) -> str:
        starts = (text[at:] for at in range(len(text) + 1))
        return next(start for start in starts if any(marker.startswith(start) for marker in markers))

    def moves(begun: str) -> Iterable[tuple[int, int, str]]:
        named = {marker[len(begun)] for marker in markers if marker.startswith(begun) and len(marker) > len(begun)}
        named |= {marker[0] for marker in markers}
        named |= {marker[at] for marker in markers for at in range(1, len(marker)) if begun.endswith(marker[:at])}
        for char in sorted(named):
            text = begun + char
            if not any(text.endswith(marker) for marker in markers) and any(a <= ord(char) <= b for a, b in RAW):
                yield ord(char), ord(char), longest_begun(text)
        for low, high in charset.subtract(RAW, charset.of("".join(named))):
            yield low, high, ""

    def ends(begun: str) -> bool:
        return not markers or (begun + markers[0]).find(markers[0]) == len(begun)

    return explore("", moves, ends)


class JsonWithout(JsonRules):
    """JSON in which none of `markers` occurs: a string that holds one spells its first character as an escape."""

    def __init__(self, grammar: Grammar, markers: Sequence[str]) -> None:
        super().__init__(grammar)
        self._markers = [marker for marker in markers if marker]
        self._firsts = charset.of("".join(marker[0] for marker in self._markers))
        self.key_chars = charset.subtract(PLAIN, self._firsts)

    @property
    def char(self) -> Ref:
        return self._once("char", choice([Chars(self.key_chars), self.escaped]))

    @property
    def string(self) -> Ref:
        """Free strings may hold the first character of a marker, only not a whole one."""
        if "string" not in self._made:
            self._made["string"] = self.grammar.reserve("string")
            self.grammar.define(self._made["string"], self.text(self._free_text()))
        return self._made["string"]

    def _free_text(self) -> Node:
        automaton = intersection(without(self._markers), lengths(0, None, PLAIN))
        rules = [self.grammar.reserve("text") for _ in automaton.edges]
        for rule, edges, accepting in zip(rules, automaton.edges, automaton.accepting, strict=True):
            branches: list[Node] = [seq(Chars(((low, high),)), rules[target]) for low, high, target in edges]
            branches.append(seq(self.escaped, rules[0]))
            self.grammar.define(rule, choice([*branches, NOTHING] if accepting else branches))
        return rules[0]

    def _spell(self, chars: CharSet) -> list[Node]:
        if chars == charset.ANY:
            return [self.char]
        kept = charset.subtract(chars, self._firsts)
        escaped = [code for low, high in charset.intersect(chars, self._firsts) for code in range(low, high + 1)]
        return [*(super()._spell(kept) if kept else []), *(Literal(f"\\u{code:04x}") for code in escaped)]

    def literal(self, value: Any) -> str:
        text = super().literal(value)
        for marker in self._markers:
            # Outside of strings JSON has none of the characters that markers begin with.
            if marker in text and marker[0] not in '{}[],:"-+.0123456789eEtrufalsn \\':
                text = text.replace(marker[0], f"\\u{ord(marker[0]):04x}")
        return text


class PythonRules(JsonRules):
    """Python's literals, in JSON's spelling where both have one."""

    escapes = '"\\bfnrt'

    @property
    def boolean(self) -> Node:
        return choice([Literal("True"), Literal("False")])

    @property
    def null(self) -> Node:
        return Literal("None")

    def literal(self, value: Any) -> str:
        match value:
            case bool() | None:
                return repr(value)
            case list():
                return "[" + ", ".join(map(self.literal, value)) + "]"
            case dict():
                return (
                    "{" + ", ".join(f"{self.literal(key)}: {self.literal(item)}" for key, item in value.items()) + "}"
                )
            case _:
                return super().literal(value)


class LooseRules(JsonRules):
    """Objects with bare keys, text between two `quote` markers, no white space: `{a:1,b:<q>text<q>}`."""

    key_chars = LOOSE_KEY

    def __init__(self, grammar: Grammar, quote: str) -> None:
        super().__init__(grammar)
        self._quote = quote
        self._raw = RawText(self, [quote])

    @property
    def space(self) -> Node:
        return NOTHING

    @property
    def char(self) -> Node:
        return self._raw.char

    @property
    def string(self) -> Ref:
        return self._once("string", self.text(self._raw.text(None, 0, None, "text")))

    @property
    def any_key(self) -> Node:
        return Repeat(Chars(self.key_chars), 1, None)

    def text(self, inside: Node) -> Node:
        return seq(self._quote, inside, self._quote)

    def quoted(self, automaton: Automaton, hint: str) -> Node:
        return self.text(self._raw.text(automaton, 0, None, hint))

    def key(self, name: str) -> Node:
        if not _LOOSE_KEY.fullmatch(name):
            raise Unwritable(name)
        return Literal(name)

    def free_key(self, names: Automaton, hint: str) -> Node:
        return self.bare(names, hint)

    def literal(self, value: Any) -> str:
        match value:
            case str():
                if not self._raw.holds(value):
                    raise Unwritable(value)
                return f"{self._quote}{value}{self._quote}"
            case list():
                return "[" + ",".join(map(self.literal, value)) + "]"
            case dict():
                for key in value:
                    self.key(key)
                return "{" + ",".join(f"{key}:{self.literal(item)}" for key, item in value.items()) + "}"
            case _:
                return json.dumps(value, allow_nan=False)
