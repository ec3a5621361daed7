"""The rules of plain JSON, and automata as rules: the words that schema grammars are made of.

`notations.py` has the other ways to write the same values. White space is bounded everywhere: nothing, one blank, or
one line break and its indentation. A model that likes blanks cannot fill its answer with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import charset
from ollama_engine.grammar.automaton import Automaton, chars_between
from ollama_engine.grammar.charset import CharSet
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.nodes import (
    NOTHING,
    Chars,
    Choice,
    Literal,
    Node,
    Ref,
    Repeat,
    choice,
    optional,
    seq,
)

INDENT = 16
"""Blanks or tabs after a line break, at most."""
DIGITS = 15
"""Digits before and after the point of a free number: what a double keeps, and no more."""
CONTROLS: CharSet = ((0x00, 0x1F),)
PLAIN: CharSet = charset.subtract(charset.ANY, ((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C)))
"""What stands for itself in a JSON string."""
ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 0x08: "\\b", 0x0C: "\\f", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
HEX: CharSet = charset.of("0123456789abcdefABCDEF")
DIGIT = Chars(charset.DIGIT)
FIRST_DIGIT = Chars(charset.of("123456789"))
Spelling = Callable[[CharSet], list[Node]]
"""The ways to write one character of a set."""


class JsonRules:
    """Plain JSON's rules, each added to the grammar when it is first asked for."""

    key_chars: CharSet = PLAIN
    """What free keys may be made of."""
    escapes = '"\\/bfnrt'
    """What may stand behind a backslash, besides a `u` and its number."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._made: dict[str, Ref] = {}

    def _once(self, name: str, body: Node) -> Ref:
        """For bodies that do not refer to themselves."""
        if name not in self._made:
            self._made[name] = self.grammar.rule(name, body)
        return self._made[name]

    @property
    def space(self) -> Node:
        blanks = Repeat(Chars(charset.of(" \t")), 0, INDENT)
        return self._once("ws", optional(choice([Literal(" "), seq("\n", blanks)])))

    @property
    def comma(self) -> Ref:
        return self._once("comma", seq(",", self.space))

    @property
    def char(self) -> Node:
        """One character inside a string."""
        return self._once("char", choice([Chars(PLAIN), self.escaped]))

    @property
    def escaped(self) -> Node:
        """A character behind a backslash; half surrogates cannot be written."""
        surrogate_free = choice(
            [
                seq(Chars(charset.of("0123456789abcefABCEF")), Repeat(Chars(HEX), 3, 3)),
                seq(Chars(charset.of("dD")), Chars(charset.of("01234567")), Repeat(Chars(HEX), 2, 2)),
            ]
        )
        escape = choice([Chars(charset.of(self.escapes)), seq("u", surrogate_free)])
        return seq("\\", self._once("escape", escape))

    @property
    def string(self) -> Ref:
        return self._once("string", self.text(Repeat(self.char, 0, None)))

    def text(self, inside: Node) -> Node:
        """A string whose characters, each a `char`, are `inside`."""
        return seq('"', inside, '"')

    def key(self, name: str) -> Node:
        """The name of a member."""
        return Literal(self.literal(name))

    def free_key(self, names: Automaton, hint: str) -> Node:
        """The name of a member as the automaton has it, which accepts `key_chars` alone."""
        return self.quoted(names, hint)

    def literal(self, value: Any) -> str:
        """A value of the schema as text."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            return text if text.isascii() or _is_unicode(text) else json.dumps(value, allow_nan=False)
        except (ValueError, TypeError) as error:
            raise InvalidRequest(f"invalid JSON schema: a value in it is not JSON: {error}") from None

    @property
    def integer(self) -> Ref:
        digits = choice([Literal("0"), seq(FIRST_DIGIT, Repeat(DIGIT, 0, DIGITS - 1))])
        return self._once("integer", seq(optional(Literal("-")), digits))

    @property
    def number(self) -> Ref:
        fraction = seq(".", Repeat(DIGIT, 1, DIGITS))
        exponent = seq(Chars(charset.of("eE")), optional(Chars(charset.of("+-"))), Repeat(DIGIT, 1, 2))
        return self._once("number", seq(self.integer, optional(fraction), optional(exponent)))

    @property
    def boolean(self) -> Node:
        return choice([Literal("true"), Literal("false")])

    @property
    def null(self) -> Node:
        return Literal("null")

    @property
    def value(self) -> Ref:
        """Any JSON value."""
        if "value" not in self._made:
            self._made["value"] = self.grammar.reserve("value")
            kinds = [self.object, self.array, self.string, self.number, self.boolean, self.null]
            self.grammar.define(self._made["value"], choice(kinds))
        return self._made["value"]

    @property
    def object(self) -> Ref:
        if "object" not in self._made:
            self._made["object"] = self.grammar.reserve("object")
            member = self.grammar.rule("member", seq(self.any_key, self.colon, self.value))
            more = Repeat(seq(self.comma, member), 0, None)
            self.grammar.define(self._made["object"], self.braces(optional(seq(member, more))))
        return self._made["object"]

    @property
    def any_key(self) -> Node:
        return self.string

    @property
    def array(self) -> Ref:
        if "array" not in self._made:
            self._made["array"] = self.grammar.reserve("array")
            more = Repeat(seq(self.comma, self.value), 0, None)
            self.grammar.define(self._made["array"], self.brackets(optional(seq(self.value, more))))
        return self._made["array"]

    @property
    def colon(self) -> Ref:
        return self._once("colon", seq(":", self.space))

    def braces(self, inside: Node) -> Node:
        return seq("{", self.space, inside, self.space, "}")

    def brackets(self, inside: Node) -> Node:
        return seq("[", self.space, inside, self.space, "]")

    # -- automata ----------------------------------------------------------------------------------------------

    def quoted(self, automaton: Automaton, hint: str) -> Node:
        """A JSON string whose content the automaton accepts, in any spelling that needs no optional escape."""
        return seq('"', self._states(automaton, hint, self._spell), '"')

    def bare(self, automaton: Automaton, hint: str) -> Node:
        """The automaton's texts as they are (numbers)."""
        return self._states(automaton, hint, lambda chars: [Chars(chars)])

    def _spell(self, chars: CharSet) -> list[Node]:
        """How the characters are written inside quotes. Control characters without a short escape are left out
        where there are others to choose from."""
        if chars == charset.ANY:
            return [self.char]
        spelled: list[Node] = []
        if plain := charset.intersect(chars, PLAIN):
            spelled.append(Chars(plain))
        spelled += [Literal(text) for code, text in ESCAPES.items() if any(a <= code <= b for a, b in chars)]
        if not spelled:
            codes = [code for low, high in charset.intersect(chars, CONTROLS) for code in range(low, high + 1)]
            spelled = [Literal(f"\\u{code:04x}") for code in codes]
        return spelled

    def _states(self, automaton: Automaton, hint: str, spell: Spelling) -> Node:
        """A rule for each state, except those that only one other leads to and one thing leads out of: a chain."""
        if automaton.is_empty:
            return Choice(())
        following = [chars_between(automaton, state) for state in range(len(automaton.edges))]
        leading_in = [0] * len(following)
        for targets in following:
            for target in targets:
                leading_in[target] += 1
        rules: dict[int, Ref] = {}
        todo: list[int] = []

        def ref(state: int) -> Node:
            if not following[state]:
                return NOTHING
            if state not in rules:
                rules[state] = self.grammar.reserve(hint)
                todo.append(state)
            return rules[state]

        def chain(state: int) -> Iterable[Node]:
            seen: set[int] = set()
            while leading_in[state] == 1 and not automaton.accepting[state] and len(following[state]) == 1 and state:
                ((target, chars),) = following[state].items()
                spelled = spell(chars)
                if len(spelled) != 1 or state in seen:
                    break
                seen.add(state)
                yield spelled[0]
                state = target
            yield ref(state)

        start = ref(0)
        while todo:
            state = todo.pop()
            branches = [
                seq(first, *chain(target)) for target, chars in following[state].items() for first in spell(chars)
            ]
            if automaton.accepting[state]:
                branches.append(NOTHING)
            self.grammar.define(rules[state], choice(branches))
        return start


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)
