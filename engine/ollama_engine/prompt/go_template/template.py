"""`GoTemplate`: a parsed template that can be executed, asked what it refers to, and cut short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.go_template import nodes
from ollama_engine.prompt.go_template.builtins import builtins
from ollama_engine.prompt.go_template.executor import Executor, GoLimits
from ollama_engine.prompt.go_template.parser import Trees, parse
from ollama_engine.prompt.go_template.source import Source
from ollama_engine.prompt.go_template.values import bytes_of

_SOURCE_LIMIT = 1024 * 1024


class GoTemplate:
    """A Go `text/template`, with Ollama's functions and `missingkey=zero`.

    Args:
        text: the template.
        limits: bounds of each execution.
        now: the clock behind `currentDate`.

    Raises:
        TemplateError: it does not parse; the message names line and column.
    """

    def __init__(
        self, text: str, *, limits: GoLimits | None = None, now: Callable[[], datetime] = datetime.now
    ) -> None:
        if len(text) > _SOURCE_LIMIT:
            raise TemplateError(f"template has {len(text):,} characters; the limit is {_SOURCE_LIMIT:,}")
        self.source = Source(text)
        self._limits = limits or GoLimits()
        self._functions = builtins(now, self._limits.output)
        try:
            self.trees: Trees = parse(self.source, self._functions)
        except RecursionError as error:
            raise TemplateError("template is nested too deeply") from error

    def execute(self, data: Mapping[str, Any] | Any) -> str:
        """The text of the template over `data` (`.` and `$`); raises `TemplateError` with line and column."""
        return self._execute(self.trees.main, data)

    def execute_until(self, field: str, data: Mapping[str, Any] | Any) -> str:
        """As `execute`, with everything after the first mention of `.field` left out."""
        return self._execute(cut_after(self.trees.main, field)[0], data)

    def append_field(self, field: str) -> None:
        """Add `{{ .field }}` at the end."""
        at = len(self.source.text)
        pipe = nodes.Pipe(at, (), False, (nodes.Command(at, (nodes.Field(at, (field,)),)),))
        self.trees.main = nodes.Block(0, (*self.trees.main.nodes, nodes.Action(at, pipe)))

    def names(self) -> set[str]:
        """Every field and variable name the template mentions, defined templates included."""
        found: set[str] = set()
        for node in self.walk():
            match node:
                case nodes.Field() | nodes.Chain():
                    found.update(node.names)
                case nodes.Variable():
                    found.update((node.name, *node.names))
                case _:
                    pass
        return found

    def walk(self) -> Iterator[nodes.Node]:
        """Every node, defined templates after the main one."""
        for tree in (self.trees.main, *self.trees.defined.values()):
            yield from nodes.walk(tree)

    def _execute(self, main: nodes.Block, data: Any) -> str:
        text = Executor(self.source, self.trees.defined, self._functions, self._limits).run(main, data)
        return bytes_of(text).decode("utf-8", "replace")


def cut_after(block: nodes.Block, field: str) -> tuple[nodes.Block, bool]:
    """`block` without what follows the first action that mentions `.field`, and whether there is one.

    A branch that is cut ends all that follows it; its `else` is another way through and keeps its own end.
    """
    kept: list[nodes.Node] = []
    for node in block.nodes:
        if isinstance(node, nodes.Branch):
            body, cut = cut_after(node.body, field)
            otherwise, also = cut_after(node.otherwise, field) if node.otherwise else (None, False)
            kept.append(replace(node, body=body, otherwise=otherwise))
            if cut or also:
                return nodes.Block(block.position, tuple(kept)), True
            continue
        kept.append(node)
        if any(isinstance(part, nodes.Field) and field in part.names for part in nodes.walk(node)):
            return nodes.Block(block.position, tuple(kept)), True
    return block, False
