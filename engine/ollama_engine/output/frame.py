"""Calls in the model's own syntax as literal text around their arguments: what a grammar for forced calls is made of.

With `tool_choice` required or named, `grammar.tool_calls` joins the frames of the tools that may be called; what the
grammar lets through, `OutputParser` reads back.
"""

from __future__ import annotations

import json
import keyword
import re
from dataclasses import dataclass
from typing import Literal

from ollama_engine.output.syntax import HARMONY_STOPS, CallSyntax, Markers

_NAME = re.compile(r"[^\s<>\"'{}()\[\],=|｜]{1,200}")
_HARMONY_NAME = re.compile(r"[^\s<]{1,200}")

Arguments = Literal["json", "loose", "python", "tagged"]


@dataclass(frozen=True)
class CallBlock:
    """What stands around all calls of an answer: `open`, calls with `between` after each but the last, `close`."""

    open: str
    between: str
    close: str
    several: bool
    """Whether it can hold more than one call."""


@dataclass(frozen=True)
class CallFrame:
    """`before`, then the arguments, then `after`.

    json      one JSON object; with `forbidden`, texts that must not occur in it
    loose     one object with bare keys and text between two `quote`
    python    `a=1, b="text"`
    tagged    one after the other, each as `key_before`, the key, `key_after`, the value, `value_after`; a value of
              type string is plain text, any other is JSON (with `quoted`, text is JSON too); `forbidden` must not occur
    """

    before: str
    after: str
    arguments: Arguments = "json"
    key_before: str = ""
    key_after: str = ""
    value_after: str = ""
    quoted: bool = False
    quote: str = ""
    forbidden: tuple[str, ...] = ()


def call_block(markers: Markers) -> CallBlock:
    """What stands around the calls; nothing for a model that shows no way to call."""
    if markers.harmony:
        return CallBlock("", "", "", several=False)
    syntax = _syntax(markers)
    if syntax.listed:  # one pair of brackets for all calls, inside of the outermost markers
        opener, closer = syntax.block_open + syntax.call_open, syntax.call_close + _block_close(syntax)
        return CallBlock(opener + "[", ", ", "]" + closer, several=True)
    line = "\n" if syntax.form == "python" and syntax.block_open else ""
    several = bool(syntax.call_open) or (syntax.form == "python" and bool(syntax.block_open))
    return CallBlock(syntax.block_open + line, "\n", line + _block_close(syntax), several=several)


def call_frame(markers: Markers, name: str, *, as_json: bool = False) -> CallFrame:
    """The frame of a call of the tool `name`; bare JSON for a model that shows no way to call.

    Args:
        as_json: a JSON object in the place of the call, which the parser takes in any dialect: for names and arguments
            that the model's own syntax has no form for.
    """
    if markers.harmony:
        before = f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
        return CallFrame(before, "", forbidden=HARMONY_STOPS)
    syntax = _syntax(markers)
    before, after = ("", "") if syntax.listed else (syntax.call_open, syntax.call_close)
    match "json" if as_json else syntax.form:
        case "named":
            return CallFrame(before + syntax.name_prefix + name + syntax.name_end, after)
        case "tagged":
            line = "\n" if syntax.padded else ""
            return CallFrame(
                before + syntax.name_prefix + name + syntax.name_end + line,
                after.lstrip("\n"),
                "tagged",
                key_before=syntax.param_open,
                key_after=syntax.param_mid + line,
                value_after=line + syntax.param_close + line,
                quoted=syntax.json_values,
                forbidden=(syntax.param_close,),
            )
        case "loose" if syntax.quote:
            before += syntax.name_prefix + name + syntax.name_end
            return CallFrame(before, after, "loose", quote=syntax.quote)
        case "python":
            return CallFrame(f"{before}{name}(", f"){after}", "python")
        case _:
            keys = json.dumps(syntax.name_key or "name"), json.dumps(syntax.arguments_key or "arguments")
            head = f"{{{keys[0]}: {json.dumps(name, ensure_ascii=False)}, {keys[1]}: "
            return CallFrame(before + head, "}" + after)


def takes_name(markers: Markers, name: str, *, as_json: bool = False) -> bool:
    """Whether a tool's name can be written in the model's syntax and is read back."""
    if markers.harmony:
        return _HARMONY_NAME.fullmatch(name) is not None
    match "json" if as_json else _syntax(markers).form:
        case "json":
            return bool(name) and name == name.strip().strip("\"'")
        case "python":
            return name.isascii() and all(
                part.isidentifier() and not keyword.iskeyword(part) for part in name.split(".")
            )
        case _:
            return _NAME.fullmatch(name) is not None


def _syntax(markers: Markers) -> CallSyntax:
    return markers.calls[0] if markers.calls else CallSyntax()


def _block_close(syntax: CallSyntax) -> str:
    return syntax.block_close if syntax.block_open else ""  # without a block it is the end of the turn
