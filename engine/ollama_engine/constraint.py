"""What an answer must keep to: `format`, `grammar` or `tool_choice`, as one grammar, and the thinking before it.

`inference.py` calls it, once the model's markers are known and before the model is asked anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.format import format_to_grammar
from ollama_engine.grammar.gbnf_text import read_gbnf
from ollama_engine.grammar.notations import Unwritable
from ollama_engine.grammar.tool_calls import FramedTool, calls_to_gbnf
from ollama_engine.output.frame import call_block, call_frame, takes_name
from ollama_engine.output.syntax import CallSyntax, Markers
from ollama_engine.output.values import Tools
from ollama_engine.runner.protocol import FreeText
from ollama_engine.types import JSON, ChatRequest, GenerateRequest, Think

HARMONY_ANALYSIS = FreeText("<|channel|>analysis<|message|>", "<|end|>")
HARMONY_NEXT = "<|start|>assistant"
HARMONY_FINAL = "<|channel|>final<|message|>"
CHOICE_HINT = 'Say "none", "auto", "required", or {"type": "function", "function": {"name": NAME}}.'


@dataclass(frozen=True)
class ToolChoice:
    """Which of the request's tools are shown to the model, which of them it must call, and how many calls it may make.

    With `none` the model sees no tools, so that it answers in words, and nothing in the answer is read as a call.
    """

    shown: list[JSON] | None = None
    forced: tuple[str, ...] = ()
    several: bool = True


def tool_choice_of(request: ChatRequest) -> ToolChoice:
    """InvalidRequest where `tool_choice` is malformed, or asks for a tool that is not there."""
    several = request.parallel_tool_calls is not False
    match request.tool_choice:
        case None | "" | "auto":
            return ToolChoice(request.tools, several=several)
        case "none":
            return ToolChoice()
        case "required":
            return ToolChoice(request.tools, _names(request.tools, "required"), several)
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            if name not in _names(request.tools, name):
                raise InvalidRequest(
                    f"invalid tool_choice: there is no function '{name}' in tools",
                    hint="Name one of the request's tools.",
                )
            return ToolChoice(request.tools, (name,), several=False)
        case value:
            raise InvalidRequest(f"invalid tool_choice: {str(value)[:80]}", hint=CHOICE_HINT)


def _names(tools: list[JSON] | None, wanted: str) -> tuple[str, ...]:
    if not tools:
        raise InvalidRequest(
            f"invalid tool_choice: '{wanted}' is only allowed when tools are specified", hint="Send tools with it."
        )
    return tuple(_function(tool)["name"] for tool in tools)


def _function(tool: JSON) -> JSON:
    function = tool.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise InvalidRequest("invalid tools: a tool must have a function with a name")
    return function


def is_constrained(request: ChatRequest | GenerateRequest) -> bool:
    """Whether the answer has to keep to anything."""
    forced = isinstance(request, ChatRequest) and bool(tool_choice_of(request).forced)
    return forced or bool(request.grammar) or request.format not in (None, "")


def answer_grammar(request: ChatRequest | GenerateRequest, markers: Markers, think: Think) -> str:
    """GBNF of the answer behind its thinking; empty where it is free. Takes a while for large schemas.

    Args:
        markers: the model's own, `reading_markers` of them.

    Raises:
        InvalidRequest: what is asked for is malformed, cannot be kept, or is asked for twice.
    """
    formatted = request.format not in (None, "")
    choice = tool_choice_of(request) if isinstance(request, ChatRequest) else ToolChoice()
    asked = [
        name
        for name, given in (("format", formatted), ("grammar", bool(request.grammar)), ("tool_choice", choice.forced))
        if given
    ]
    if len(asked) > 1:
        raise InvalidRequest(f"{' and '.join(asked)} cannot be kept both", hint="Leave all but one of them out.")
    if choice.forced:
        return _calls_grammar(choice, markers, head=HARMONY_NEXT if markers.harmony and think else "")
    grammar = format_to_grammar(request.format) if formatted else request.grammar
    if not grammar:
        return ""
    if markers.harmony:
        begin = f'("{HARMONY_NEXT}")? ' if think else ""
        return read_gbnf(grammar).after(f'{begin}"{HARMONY_FINAL}"')
    return read_gbnf(grammar).text if request.grammar else grammar


def _calls_grammar(choice: ToolChoice, markers: Markers, *, head: str) -> str:
    tools = [_function(tool) for tool in choice.shown or () if _function(tool)["name"] in choice.forced]
    for as_json in (False, True):
        unknown = next((tool["name"] for tool in tools if not takes_name(markers, tool["name"], as_json=as_json)), None)
        if unknown is None:
            try:
                framed = _framed(tools, markers, as_json=as_json)
                return calls_to_gbnf(framed, call_block(markers), several=choice.several, head=head)
            except Unwritable as error:
                unknown = str(error)
    raise InvalidRequest(f"'{unknown}' cannot be written in the way that the model calls tools", hint="Rename it.")


def _framed(tools: Iterable[JSON], markers: Markers, *, as_json: bool) -> list[FramedTool]:
    known = Tools(tools)
    return [
        FramedTool(
            tool["name"],
            tool.get("parameters"),
            call_frame(markers, tool["name"], as_json=as_json),
            lambda key, name=tool["name"]: known.is_text(name, key),
        )
        for tool in tools
    ]


def reading_markers(request: ChatRequest, markers: Markers) -> Markers:
    """The markers to read the answer with: a forced call must be found also where the model shows no way to call."""
    if markers.calls or markers.harmony or not tool_choice_of(request).forced:
        return markers
    return replace(markers, calls=(CallSyntax(),))


def free_text(markers: Markers, prompt: str, think: Think) -> FreeText | None:
    """The thinking that no grammar holds, for a request that thinks."""
    if not think:
        return None
    if markers.harmony:
        return HARMONY_ANALYSIS
    if markers.thinking is None:
        return None
    return FreeText(markers.thinking.open, markers.thinking.close, inside=markers.starts_in_thinking(prompt))
