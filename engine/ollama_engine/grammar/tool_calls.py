"""Forced tool calls as grammar: each tool's frame around arguments that its own schema lets through.

`ollama_engine.forced_calls` brings the tools of a request and the frames of the model's dialect together.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import charset
from ollama_engine.grammar.accepts import listed
from ollama_engine.grammar.automaton import Automaton, TooManyStates
from ollama_engine.grammar.charset import CharSet
from ollama_engine.grammar.gbnf import Grammar
from ollama_engine.grammar.json_rules import JsonRules
from ollama_engine.grammar.json_schema import Compiler
from ollama_engine.grammar.limits import SMALLER, productive_rules
from ollama_engine.grammar.nodes import NOTHING, Literal, Node, Ref, Repeat, choice, optional, seq
from ollama_engine.grammar.notations import RAW, JsonWithout, LooseRules, PythonRules, RawText, Unwritable
from ollama_engine.grammar.objects import members_node
from ollama_engine.grammar.schema import Node as Subschema
from ollama_engine.grammar.shape import Shape
from ollama_engine.output.frame import CallBlock, CallFrame

MAX_CALLS = 32
"""Of one answer."""
TAGGED_KEY: CharSet = charset.subtract(RAW, charset.union(charset.WIDE_SPACE, charset.of("<>\"'{}()=")))
"""What the parser takes for a key between markers."""
_TAGGED_KEY = re.compile(r"[^\s<>\"'{}()=]+")
_JSON_STARTS = charset.union(charset.WIDE_SPACE, charset.of('-0123456789{["tfnTFN<'))
"""Text of an argument that may also be something else must not begin like something else (or like CDATA)."""
_SAYS_NOTHING = frozenset(
    ("type", "properties", "required", "title", "description", "$schema", "$id", "$defs", "definitions", "strict")
)


@dataclass(frozen=True)
class FramedTool:
    """A tool that may be called, and how.

    `is_text` says of an argument whether any text between its markers is read back as text.
    """

    name: str
    parameters: Any
    frame: CallFrame
    is_text: Callable[[str], bool]


def calls_to_gbnf(tools: Sequence[FramedTool], block: CallBlock, *, several: bool, head: str = "") -> str:
    """A grammar of calls of `tools`: one, or one and more where `several`, after an optional `head`.

    Raises:
        Unwritable: a name or a value has no form in the dialect; frames as JSON have one for all.
        InvalidRequest: a tool's parameters are no schema that can be kept; the message names the tool.
    """
    grammar = Grammar()
    calls: list[Ref] = []
    for tool in tools:
        try:
            calls.append(_call(grammar, tool))
        except InvalidRequest as error:
            raise _bad_schema(tool, error.message, error.hint) from None
        except TooManyStates:
            raise _bad_schema(tool, "its patterns and lengths together are too large", SMALLER) from None
        except RecursionError:
            raise _bad_schema(tool, "it is nested too deeply", "Flatten it, or use $defs.") from None
    call = grammar.rule("call", choice(calls))
    more = Repeat(seq(_between(block.between), call), 0, MAX_CALLS - 1) if several and block.several else NOTHING
    begin = optional(Literal(head)) if head else NOTHING
    return grammar.text(grammar.rule("root", seq(begin, block.open, call, more, block.close)))


def _bad_schema(tool: FramedTool, problem: str, hint: str) -> InvalidRequest:
    return InvalidRequest(f"invalid schema for function '{tool.name}': {problem}", hint=hint)


def _between(text: str) -> Node:
    """White space alone may be left out."""
    return optional(Literal(text)) if not text.strip() else Literal(text)


def _call(grammar: Grammar, tool: FramedTool) -> Ref:
    frame = tool.frame
    compiler = Compiler(_parameters(tool.parameters), _rules(grammar, frame))
    document = compiler.document
    nodes = (document.root, document.make({"type": "object"}, "#", "arguments"))
    match frame.arguments:
        case "json" | "loose":
            arguments: Node = compiler.ref(nodes, tool.name)
        case "python":
            arguments = _members(compiler, nodes, tool.name, _PythonArguments(compiler))
        case "tagged":
            arguments = _members(compiler, nodes, tool.name, _TaggedArguments(compiler, tool))
    call = grammar.rule(f"call-{tool.name}", seq(frame.before, arguments, frame.after))
    compiler.finish()
    if call.name not in productive_rules(grammar.rules):
        raise InvalidRequest("no arguments satisfy it", hint="Look for keywords that contradict one another.")
    return call


def _parameters(parameters: Any) -> dict[str, Any]:
    """A tool's schema; one that names no parameters has none."""
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise InvalidRequest("its parameters must be a JSON Schema object")
    if not parameters.get("properties") and not parameters.get("required") and parameters.keys() <= _SAYS_NOTHING:
        return {**parameters, "additionalProperties": False}
    return parameters


def _rules(grammar: Grammar, frame: CallFrame) -> JsonRules:
    match frame.arguments:
        case "loose":
            return LooseRules(grammar, frame.quote)
        case "python":
            return PythonRules(grammar)
        case _:
            return JsonWithout(grammar, frame.forbidden) if frame.forbidden else JsonRules(grammar)


def _members(
    compiler: Compiler, nodes: tuple[Subschema, ...], hint: str, members: _PythonArguments | _TaggedArguments
) -> Node:
    shapes = compiler.alternatives.shapes(nodes)
    return choice(_shape_members(compiler, shape, hint, members) for _, shape in shapes)


def _shape_members(compiler: Compiler, shape: Shape, hint: str, members: _PythonArguments | _TaggedArguments) -> Node:
    if shape.values is not None:
        raise Unwritable(hint)  # whole objects to choose from
    return compiler.grammar.rule(hint, members_node(compiler, shape, hint, members))


@dataclass(frozen=True)
class _PythonArguments:
    """Members as keyword arguments."""

    compiler: Compiler
    key_chars: CharSet = charset.WORD

    @property
    def separator(self) -> Node:
        return Literal(", ")

    def around(self, inside: Node) -> Node:
        return inside

    def pair(self, name: str, nodes: tuple[Subschema, ...], hint: str) -> Node:
        if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
            raise Unwritable(name)
        return seq(f"{name}=", self.compiler.ref(nodes, hint))

    def free_pair(self, names: Automaton, nodes: tuple[Subschema, ...], hint: str) -> Node:
        raise Unwritable(hint)  # a keyword argument that comes again is no Python


class _TaggedArguments:
    """Members between markers of their own."""

    key_chars: CharSet = TAGGED_KEY

    def __init__(self, compiler: Compiler, tool: FramedTool) -> None:
        self._compiler = compiler
        self._tool = tool
        self._text = RawText(compiler.json, tool.frame.forbidden)
        self._plain_text = RawText(compiler.json, tool.frame.forbidden, charset.subtract(RAW, _JSON_STARTS))

    @property
    def separator(self) -> Node:
        return NOTHING

    def around(self, inside: Node) -> Node:
        return inside

    def pair(self, name: str, nodes: tuple[Subschema, ...], hint: str) -> Node:
        if not _TAGGED_KEY.fullmatch(name):
            raise Unwritable(name)
        return self._pair(Literal(name), self._value(nodes, hint, is_text=self._tool.is_text(name)))

    def free_pair(self, names: Automaton, nodes: tuple[Subschema, ...], hint: str) -> Node:
        key = self._compiler.json.bare(names, f"{hint}-key")
        return self._pair(key, self._value(nodes, f"{hint}-value", is_text=False))

    def _pair(self, key: Node, value: Node) -> Node:
        frame = self._tool.frame
        return seq(frame.key_before, key, frame.key_after, value, frame.value_after)

    def _value(self, nodes: tuple[Subschema, ...], hint: str, *, is_text: bool) -> Node:
        if self._tool.frame.quoted:
            return self._compiler.ref(nodes, hint)
        shapes = [shape for _, shape in self._compiler.alternatives.shapes(nodes)]
        return choice([part for shape in shapes for part in self._shape(shape, hint, is_text=is_text)])

    def _shape(self, shape: Shape, hint: str, *, is_text: bool) -> Iterable[Node]:
        """Its texts as they stand, its other values as JSON."""
        compiler = self._compiler
        if "string" in shape.types and shape.values is None:
            raw = self._text if is_text else self._plain_text
            yield raw.text(shape.text(), shape.min_length, shape.max_length, hint)
        elif shape.values is not None:
            values = [value for value in listed(compiler.alternatives, shape) if isinstance(value, str)]
            yield choice(
                Literal(value) for value in values if self._text.holds(value) and (is_text or _is_plain(value))
            )
        others = shape.types - {"string"}
        if others and not is_text:
            yield compiler.shape(replace(shape, types=others), hint)


def _is_plain(text: str) -> bool:
    """Whether the parser reads `text` as text, whatever else might stand there."""
    if text.strip().lower() in ("true", "false", "null"):
        return False
    try:
        json.loads(text, strict=False)
    except ValueError:
        return True
    return False
