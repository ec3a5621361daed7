"""A grammar cut down to what can be finished and is needed, and weighed before llama.cpp gets it."""

from __future__ import annotations

from collections.abc import Iterable

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.nodes import NOTHING, Chars, Choice, Literal, Node, Ref, Repeat, Sequence, choice, seq

MAX_ELEMENTS = 200_000
"""Symbols of the grammar once its repetitions are written out, as llama.cpp does."""
MAX_PATHS = 3_000_000
"""Ways from a rule to its first characters. llama.cpp walks all of them, from each rule, when it loads a grammar."""
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


def productive_rules(rules: dict[str, Node]) -> set[str]:
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


def cut(node: Node, productive: set[str]) -> Node:
    """`node` without the branches that cannot finish."""
    match node:
        case Sequence(parts):
            return seq(*(cut(part, productive) for part in parts))
        case Choice(branches):
            return choice(cut(branch, productive) for branch in branches if _can_finish(branch, productive))
        case Repeat(part, least, most):
            return Repeat(cut(part, productive), least, most) if _can_finish(part, productive) else NOTHING
        case _:
            return node


def reachable(rules: dict[str, Node], root: Ref) -> dict[str, Node]:
    order = {root.name: rules[root.name]}
    todo = [root.name]
    while todo:
        for name in _references(rules[todo.pop()]):
            if name not in order:
                order[name] = rules[name]
                todo.append(name)
    return order


# -- size ------------------------------------------------------------------------------------------------------


def check_size(rules: dict[str, Node], *, of: str = "schema's grammar", hint: str = SMALLER) -> None:
    """InvalidRequest where llama.cpp would need too long, or too much memory, for these rules."""
    if sum(_elements(body) for body in rules.values()) > MAX_ELEMENTS:
        raise InvalidRequest(f"the {of} has more than {MAX_ELEMENTS} symbols, repetitions written out", hint=hint)
    paths: dict[str, int] = {}
    try:
        for name in rules:
            _count_paths(rules, name, paths)
        if sum(paths.values()) > MAX_PATHS:
            raise _TooManyPaths
    except _TooManyPaths:
        problem = f"the {of} branches too often before the first character of a rule"
        raise InvalidRequest(problem, hint=hint) from None


class _TooManyPaths(Exception):
    pass


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
            raise _TooManyPaths
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
