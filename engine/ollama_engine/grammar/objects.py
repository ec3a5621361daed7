"""Objects as grammar: members in the order of the schema, then free ones.

Members that are not required may be left out. Free members (additionalProperties, patternProperties) come last, and
their keys are never those of named members, so that no key decides twice. Keys of free members need no escapes; beside
patternProperties they are ASCII.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import charset
from ollama_engine.grammar.accepts import accepts
from ollama_engine.grammar.automaton import Automaton, difference, intersection, lengths, words
from ollama_engine.grammar.charset import CharSet
from ollama_engine.grammar.nodes import NEVER, NOTHING, Node, Ref, Repeat, choice, seq
from ollama_engine.grammar.shape import Shape

if TYPE_CHECKING:
    from ollama_engine.grammar.alternatives import Nodes
    from ollama_engine.grammar.json_schema import Compiler

MAX_KEY_PATTERNS = 4
"""Patterns of keys in one object: each combination of them is a kind of key of its own."""
MAX_MEMBERS = 2000
"""Named members of one object."""
ASCII_KEY: CharSet = ((0x20, 0x7E),)


class Members(Protocol):
    """How members are written, and what stands between and around them."""

    @property
    def key_chars(self) -> CharSet: ...

    @property
    def separator(self) -> Node: ...

    def around(self, inside: Node) -> Node: ...

    def pair(self, name: str, nodes: Nodes, hint: str) -> Node:
        """A member of this name, its value all of `nodes`."""
        ...

    def free_pair(self, names: Automaton, nodes: Nodes, hint: str) -> Node:
        """A member of any of these names, made of `key_chars`."""
        ...


@dataclass(frozen=True)
class ObjectMembers:
    """Members as objects have them."""

    compiler: Compiler

    @property
    def key_chars(self) -> CharSet:
        return self.compiler.json.key_chars

    @property
    def separator(self) -> Node:
        return self.compiler.json.comma

    def around(self, inside: Node) -> Node:
        return self.compiler.json.braces(inside)

    def pair(self, name: str, nodes: Nodes, hint: str) -> Node:
        rules = self.compiler.json
        return seq(rules.key(name), rules.colon, self.compiler.ref(nodes, hint))

    def free_pair(self, names: Automaton, nodes: Nodes, hint: str) -> Node:
        rules = self.compiler.json
        return seq(rules.free_key(names, f"{hint}-key"), rules.colon, self.compiler.ref(nodes, f"{hint}-value"))


@dataclass(frozen=True)
class Member:
    pair: Ref
    required: bool


def object_node(compiler: Compiler, shape: Shape, hint: str) -> Node:
    """An object of this shape.

    Raises:
        InvalidRequest: more is asked than can be kept (see `ollama_engine.grammar.json_schema`).
    """
    plain = not shape.objects and not shape.required and not shape.names and shape.unevaluated is None
    if plain and shape.min_members == 0 and shape.max_members is None:
        return compiler.json.object
    return members_node(compiler, shape, hint, ObjectMembers(compiler))


def members_node(compiler: Compiler, shape: Shape, hint: str, members: Members) -> Node:
    """The members of an object of this shape, as `members` writes them."""
    names = shape.named
    if len(names) > MAX_MEMBERS:
        raise InvalidRequest(f"JSON schema at {shape.path}: more than {MAX_MEMBERS} named members are not supported")
    named = [_member(compiler, shape, name, members) for name in names]
    free = _free_pairs(compiler, shape, hint, members) if shape.is_open else []
    return members.around(_Body(compiler, shape, named, free, hint, members.separator).start())


def _member(compiler: Compiler, shape: Shape, name: str, members: Members) -> Member:
    if not accepts(compiler.alternatives, tuple(shape.names), name):
        return Member(compiler.grammar.rule("never", NEVER), name in shape.required)
    pair = members.pair(name, shape.member(name), name)
    return Member(compiler.grammar.rule(f"{name}-member", pair), name in shape.required)


def _free_pairs(compiler: Compiler, shape: Shape, hint: str, members: Members) -> list[Node]:
    """A rule for each kind of key that is not named: no pattern, or some of the patterns, match it."""
    patterns = [automaton for rules in shape.objects for automaton, _ in rules.by_pattern]
    if len(patterns) > MAX_KEY_PATTERNS:
        raise InvalidRequest(
            f"JSON schema at {shape.path}/patternProperties: more than {MAX_KEY_PATTERNS} patterns are not supported"
        )
    keys = lengths(1, None, charset.intersect(members.key_chars, ASCII_KEY) if patterns else members.key_chars)
    keys = difference(keys, words(shape.named))
    for automaton in _key_texts(compiler, shape):
        keys = intersection(keys, automaton)
    pairs: list[Node] = []
    for matched in itertools.product((True, False), repeat=len(patterns)):
        kind = keys
        for automaton, is_matched in zip(patterns, matched, strict=True):
            kind = intersection(kind, automaton) if is_matched else difference(kind, automaton)
        if kind.is_empty:
            continue
        # Any key of the kind stands for all of them: which subschemas apply depends on the patterns alone.
        nodes = shape.member(_shortest(kind))
        if not nodes and patterns:
            continue  # only keys of the patterns were asked for
        pairs.append(compiler.grammar.rule(f"{hint}-free", members.free_pair(kind, nodes, hint)))
    return pairs


def _key_texts(compiler: Compiler, shape: Shape) -> Iterable[Automaton]:
    """What propertyNames asks of free keys."""
    for node in shape.names:
        kinds = [names for _, names in compiler.alternatives.shapes((node,)) if "string" in names.types]
        if len(kinds) != 1:
            raise InvalidRequest(
                f"JSON schema at {node.path}: alternatives are not supported in propertyNames", hint="Use one pattern."
            )
        names = kinds[0]
        if names.values is not None:
            yield words(value for value in names.values if isinstance(value, str))
        if (text := names.text()) is not None:
            yield text
        elif names.min_length or names.max_length is not None:
            yield lengths(names.min_length, names.max_length)


def _shortest(automaton: Automaton) -> str:
    texts = {0: ""}
    todo = [0]
    for state in todo:
        if automaton.accepting[state]:
            return texts[state]
        for low, _, target in automaton.edges[state]:
            if target not in texts:
                texts[target] = texts[state] + chr(low)
                todo.append(target)
    raise ValueError("the automaton is empty")


class _Body:
    """What is between the braces: a rule for each place in the list of members (and each count, where it matters)."""

    def __init__(
        self, compiler: Compiler, shape: Shape, members: list[Member], free: list[Node], hint: str, separator: Node
    ) -> None:
        self._compiler = compiler
        self._separator = separator
        self._members = members
        self._free = compiler.grammar.rule(f"{hint}-any", choice(free)) if free else None
        self._hint = hint
        needed = sum(member.required for member in members)
        self._least = 0 if shape.min_members <= needed else shape.min_members
        self._most = shape.max_members
        if self._most is not None and not free and self._most >= len(members):
            self._most = None
        self._counts = self._least > 0 or self._most is not None
        if self._counts and len(members) * max(self._least, self._most or 0, 1) > 20_000:
            raise InvalidRequest(f"JSON schema at {shape.path}: too many members to count")
        if free and self._least > needed + 1:
            # Free keys may repeat, and members that repeat count once.
            raise InvalidRequest(
                f"JSON schema at {shape.path}: minProperties {shape.min_members} cannot be kept with free member names",
                hint="Name the members in properties and required.",
            )
        self._rules: dict[tuple[int, int], Ref] = {}

    def start(self) -> Node:
        """The first member has no comma before it."""
        node = self._nothing_yet(len(self._members))
        for index in reversed(range(len(self._members))):
            member = self._members[index]
            taken = seq(member.pair, self._after(index + 1, 1))
            here = taken if member.required else choice([taken, node])
            node = self._compiler.grammar.rule(f"{self._hint}-first", here)
        return node

    def _nothing_yet(self, index: int) -> Node:
        branches: list[Node] = []
        if self._free is not None and (self._most is None or self._most > 0):
            branches.append(seq(self._free, self._more_free(1)))
        if self._least == 0:
            branches.append(NOTHING)
        return choice(branches)

    def _after(self, index: int, count: int) -> Node:
        """What may follow when the first `index` members are decided and `count` of them were written."""
        count = count if self._counts else 0
        if self._most is not None and count > self._most:
            return NEVER
        if index == len(self._members):
            return self._more_free(count)
        if (index, count) not in self._rules:
            self._rules[index, count] = self._compiler.grammar.reserve(f"{self._hint}-rest")
            member = self._members[index]
            taken = seq(self._separator, member.pair, self._after(index + 1, count + 1))
            left_out = [] if member.required else [self._after(index + 1, count)]
            self._compiler.grammar.define(self._rules[index, count], choice([taken, *left_out]))
        return self._rules[index, count]

    def _more_free(self, count: int) -> Node:
        missing = max(0, self._least - count)
        if self._free is None:
            return NEVER if missing else NOTHING
        pair = seq(self._separator, self._free)
        if self._most is None:
            return Repeat(pair, missing, None)
        if count > self._most:
            return NEVER
        return self._compiler.grammar.repeat(pair, missing, self._most - count, self._hint)
