"""Runs the tree of a Go template over data, with `text/template`'s scoping, evaluation and error rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.go_template import nodes
from ollama_engine.prompt.go_template.builtins import Builtin
from ollama_engine.prompt.go_template.source import Source
from ollama_engine.prompt.go_template.values import kind, printed, sorted_items, struct_fields, truth, type_name


@dataclass(frozen=True)
class GoLimits:
    """Bounds of one execution. Sizes are characters; `seconds` is wall time."""

    seconds: float = 5.0
    steps: int = 5_000_000
    depth: int = 40
    """`{{template}}` calls within one another."""
    output: int = 32 * 1024 * 1024
    allocation: int = 256 * 1024 * 1024
    """All strings that functions make."""


class _BreakLoop(Exception):
    pass


class _ContinueLoop(Exception):
    pass


_NOTHING: Any = object()  # no value came down the pipeline


class Executor:
    """One execution: its variables, its output and what it has cost so far."""

    def __init__(
        self,
        source: Source,
        defined: Mapping[str, nodes.Block],
        functions: Mapping[str, Builtin],
        limits: GoLimits,
    ) -> None:
        self._source = source
        self._defined = defined
        self._functions = functions
        self._limits = limits
        self._output: list[str] = []
        self._written = self._steps = self._allocated = self._depth = 0
        self._variables: list[tuple[str, Any]] = []
        self._deadline = time.monotonic() + limits.seconds

    def run(self, main: nodes.Block, data: Any) -> str:
        """The text that `main` makes of `data`; raises `TemplateError` with line and column."""
        self._variables = [("$", data)]
        try:
            self._block(main, data)
        except RecursionError as error:
            raise TemplateError("template is nested too deeply to run") from error
        return "".join(self._output)

    # -- bounds

    def _error(self, node: nodes.Node, message: str) -> TemplateError:
        return self._source.error(node.position, message)

    def _step(self, node: nodes.Node) -> None:
        self._steps += 1
        if self._steps > self._limits.steps:
            raise self._error(node, f"the template took more than {self._limits.steps:,} steps")
        if not self._steps & 0xFF and time.monotonic() > self._deadline:
            raise self._error(node, f"the template ran for more than {self._limits.seconds:g} seconds")

    def _write(self, node: nodes.Node, text: str) -> None:
        self._written += len(text)
        if self._written > self._limits.output:
            raise self._error(node, f"the template wrote more than {self._limits.output:,} characters")
        self._output.append(text)

    def _made(self, node: nodes.Node, value: Any) -> Any:
        if isinstance(value, str | list):
            self._allocated += len(value)
            if self._allocated > self._limits.allocation:
                raise self._error(node, f"the template built more than {self._limits.allocation:,} characters")
        return value

    # -- structure

    def _block(self, block: nodes.Block, dot: Any) -> None:
        for node in block.nodes:
            self._step(node)
            match node:
                case nodes.Text():
                    self._write(node, node.text)
                case nodes.Action():
                    value = self._pipe(node.pipe, dot)
                    if not node.pipe.declared:
                        self._write(node, self._guard(node, lambda value=value: printed(value)))
                case nodes.Branch(keyword="range"):
                    self._range(node, dot)
                case nodes.Branch():
                    self._if_or_with(node, dot)
                case nodes.Invoke():
                    self._invoke(node, dot)
                case nodes.Break():
                    raise _BreakLoop
                case nodes.Continue():
                    raise _ContinueLoop
                case _:
                    raise self._error(node, f"unknown node {type(node).__name__}")

    def _guard(self, node: nodes.Node, work: Callable[[], Any]) -> Any:
        """Run `work`, its ValueError (Go's reason) becoming an error at `node`."""
        try:
            return work()
        except ValueError as error:
            raise self._error(node, str(error)) from error

    def _if_or_with(self, node: nodes.Branch, dot: Any) -> None:
        mark = len(self._variables)
        value = self._pipe(node.pipe, dot)
        if truth(value):
            self._block(node.body, value if node.keyword == "with" else dot)
        elif node.otherwise is not None:
            self._block(node.otherwise, dot)
        del self._variables[mark:]

    def _range(self, node: nodes.Branch, dot: Any) -> None:
        mark = len(self._variables)
        value = self._pipe(node.pipe, dot)
        inner = len(self._variables)
        count = 0
        try:
            for key, item in self._items(node, value):
                count += 1
                self._step(node)
                self._bind(node, key, item, single_is_key=kind(value) == "int")
                try:
                    self._block(node.body, item)
                except _ContinueLoop:
                    pass
                finally:
                    del self._variables[inner:]
        except _BreakLoop:
            pass
        if not count and node.otherwise is not None:
            self._block(node.otherwise, dot)
        del self._variables[mark:]

    def _items(self, node: nodes.Branch, value: Any) -> Any:
        match kind(value):
            case "slice":
                return enumerate(value)
            case "map":
                return sorted_items(value)
            case "int":
                if len(node.pipe.declared) > 1:
                    raise self._error(node, f"can't use {value} to iterate over more than one variable")
                return ((number, number) for number in range(value))
            case "nil":
                return ()
            case _:
                raise self._error(node, f"range can't iterate over {printed(value)}")

    def _bind(self, node: nodes.Branch, key: Any, item: Any, *, single_is_key: bool) -> None:
        """Give a range's variables their values; the pipe has made (or found) them already."""
        names = node.pipe.declared
        pairs = zip(names, (key, item) if len(names) > 1 else (item,), strict=False)
        for name, value in pairs:
            self._assign(node, name, value)

    def _invoke(self, node: nodes.Invoke, dot: Any) -> None:
        body = self._defined.get(node.name)
        if body is None:
            raise self._error(node, f'template "{node.name}" not defined')
        self._depth += 1
        if self._depth > self._limits.depth:
            raise self._error(node, f"more than {self._limits.depth} templates within one another")
        data = None if node.pipe is None else self._pipe(node.pipe, dot)
        outer, self._variables = self._variables, [("$", data)]
        self._block(body, data)
        self._variables = outer
        self._depth -= 1

    # -- variables

    def _assign(self, node: nodes.Node, name: str, value: Any) -> None:
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                self._variables[index] = (name, value)
                return
        raise self._error(node, f"undefined variable: {name}")

    def _lookup(self, node: nodes.Node, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise self._error(node, f"undefined variable: {name}")

    # -- pipelines

    def _pipe(self, pipe: nodes.Pipe, dot: Any) -> Any:
        value: Any = _NOTHING
        for command in pipe.commands:
            self._step(command)
            value = self._command(command, dot, value)
        for name in pipe.declared:
            if pipe.assign:
                self._assign(pipe, name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, command: nodes.Command, dot: Any, final: Any) -> Any:
        first, *rest = command.arguments
        has_arguments = bool(rest) or final is not _NOTHING
        if isinstance(first, nodes.Function):
            return self._function(first, rest, dot, final)
        if isinstance(first, nodes.Nil):
            raise self._error(first, "nil is not a command")
        if (
            isinstance(first, nodes.Field | nodes.Chain | nodes.Variable)
            and has_arguments
            and getattr(first, "names", ())
        ):
            raise self._error(first, f"{first.names[-1]} is not a method but has arguments")
        if has_arguments:
            raise self._error(first, "can't give argument to non-function")
        return self._operand(first, dot)

    def _operand(self, node: nodes.Node, dot: Any) -> Any:
        match node:
            case nodes.Literal():
                return node.value
            case nodes.Dot():
                return dot
            case nodes.Nil():
                return None
            case nodes.Field():
                return self._fields(node, dot, node.names)
            case nodes.Variable():
                return self._fields(node, self._lookup(node, node.name), node.names)
            case nodes.Chain():
                if isinstance(node.operand, nodes.Nil):
                    raise self._error(node, "indirection through explicit nil")
                return self._fields(node, self._operand(node.operand, dot), node.names)
            case nodes.Pipe():
                return self._pipe(node, dot)
            case nodes.Function():
                return self._function(node, [], dot, _NOTHING)
            case _:
                raise self._error(node, f"can't evaluate {type(node).__name__}")

    def _fields(self, node: nodes.Node, value: Any, names: tuple[str, ...]) -> Any:
        for index, name in enumerate(names):
            if isinstance(value, Mapping):
                value = value.get(name)
                continue
            members = struct_fields(value)
            if members is not None and name in members:
                value = members[name]
            elif value is None:
                if index == 0:
                    raise self._error(node, f"nil data; no entry for key {name!r}")
                raise self._error(node, f"nil pointer evaluating interface {{}}.{name}")
            else:
                raise self._error(node, f"can't evaluate field {name} in type {type_name(value)}")
        return value

    def _function(self, node: nodes.Function, arguments: list[nodes.Node], dot: Any, final: Any) -> Any:
        if node.name in ("and", "or"):
            return self._and_or(node, arguments, dot, final)
        builtin = self._functions[node.name]
        count = len(arguments) + (final is not _NOTHING)
        if count < builtin.least or (builtin.most is not None and count > builtin.most):
            want = f"{builtin.least}" if builtin.least == builtin.most else f"at least {builtin.least}"
            raise self._error(node, f"wrong number of args for {node.name}: want {want} got {count}")
        values = [self._operand(argument, dot) for argument in arguments]
        if final is not _NOTHING:
            values.append(final)
        try:
            return self._made(node, builtin.call(*values))
        except ValueError as error:
            raise self._error(node, f"error calling {node.name}: {error}") from error

    def _and_or(self, node: nodes.Function, arguments: list[nodes.Node], dot: Any, final: Any) -> Any:
        """`and` stops at the first empty argument, `or` at the first that is not; the rest is not evaluated."""
        if not arguments and final is _NOTHING:
            raise self._error(node, f"wrong number of args for {node.name}: want at least 1 got 0")
        value: Any = _NOTHING
        for argument in arguments:
            value = self._operand(argument, dot)
            if truth(value) == (node.name == "or"):
                return value
        return value if final is _NOTHING else final
