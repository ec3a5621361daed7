"""A call in the model's own syntax as literal text around its arguments: what a grammar for a forced call is made of.

With `tool_choice` required or named, the engine joins the frames of the tools that may be called into one grammar; what
it lets through, `OutputParser` reads back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from ollama_engine.output.syntax import CallSyntax, Markers


@dataclass(frozen=True)
class CallFrame:
    """`before`, then the arguments, then `after`.

    As `json` the arguments are one JSON object. As `tagged` they stand one after the other, each as `key_before`, the
    key, `key_after`, the value, `value_after`; a value of type string is plain text in which `value_after` does not
    occur, any other is JSON (with `quoted`, text is JSON too).
    """

    before: str
    after: str
    arguments: Literal["json", "tagged"] = "json"
    key_before: str = ""
    key_after: str = ""
    value_after: str = ""
    quoted: bool = False


def call_frame(markers: Markers, name: str) -> CallFrame:
    """The frame of a call of the tool `name`; bare JSON for a model that shows no way to call."""
    if markers.harmony:
        return CallFrame(f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>", "")
    syntax = markers.calls[0] if markers.calls else CallSyntax()
    block_close = syntax.block_close if syntax.block_open else ""  # without a block it is the end of the turn
    before, after = syntax.block_open + syntax.call_open, syntax.call_close + block_close
    match syntax.form:
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
            )
        case _:  # the parser takes a JSON object wherever a call may stand
            opening, closing = ("[", "]") if syntax.listed else ("", "")
            keys = json.dumps(syntax.name_key or "name"), json.dumps(syntax.arguments_key or "arguments")
            head = f"{{{keys[0]}: {json.dumps(name, ensure_ascii=False)}, {keys[1]}: "
            return CallFrame(
                syntax.block_open + opening + syntax.call_open + head,
                "}" + syntax.call_close + closing + block_close,
            )
