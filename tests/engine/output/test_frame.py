"""Frames of forced calls: what a grammar makes of them is read back as the call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ollama_engine.output.dialects import PARSERS, markers_for
from ollama_engine.output.frame import CallFrame, call_block, call_frame
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.types import JSON
from tests.engine.output.answers import TOOLS, parse, splits
from tests.engine.output.test_invented_templates import DIALECTS

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
_ARGUMENTS: JSON = {"city": 'a "b" {c} <d>', "days": 3}


def written(frame: CallFrame) -> str:
    """A call as a grammar over its frame would write it."""
    match frame.arguments:
        case "json":
            return frame.before + json.dumps(_ARGUMENTS) + frame.after
        case "python":
            return frame.before + ", ".join(f"{k}={json.dumps(v)}" for k, v in _ARGUMENTS.items()) + frame.after
        case "loose":
            text = f"{frame.quote}{_ARGUMENTS['city']}{frame.quote}"
            return f"{frame.before}{{city:{text},days:3}}{frame.after}"
        case "tagged":
            values = {
                key: value if isinstance(value, str) and not frame.quoted else json.dumps(value)
                for key, value in _ARGUMENTS.items()
            }
            body = (
                frame.key_before + key + frame.key_after + value + frame.value_after for key, value in values.items()
            )
            return frame.before + "".join(body) + frame.after


def forced(markers: Markers, *, calls: int = 1, as_json: bool = False) -> str:
    """Calls of `get_weather`."""
    block, call = call_block(markers), written(call_frame(markers, "get_weather", as_json=as_json))
    return block.open + block.between.join([call] * calls) + block.close


def check(markers: Markers) -> None:
    for calls in (1, 3) if call_block(markers).several else (1,):
        expected = [("call", ("get_weather", _ARGUMENTS, index)) for index in range(calls)]
        for pieces in splits(forced(markers, calls=calls)):
            assert parse(markers, pieces, tools=TOOLS).order == expected, pieces
    assert parse(markers, [forced(markers, as_json=True)], tools=TOOLS).calls == [("get_weather", _ARGUMENTS)]


@pytest.mark.parametrize("name", sorted(set(PARSERS) - {"passthrough", "olmo3-think"}))
def test_a_forced_call_is_read_back_for_every_parser_name(name: str) -> None:
    check(PARSERS[name])


@pytest.mark.parametrize("name", DIALECTS)
def test_a_forced_call_is_read_back_for_templates_nobody_knows(name: str) -> None:
    check(markers_for(DIALECTS[name].template))


@pytest.mark.parametrize("path", sorted(_PUBLISHED.glob("*.jinja")), ids=lambda path: path.stem)
def test_a_forced_call_is_read_back_for_published_templates(path: Path) -> None:
    markers = markers_for(JinjaChat(path.read_text(encoding="utf-8"), "<s>", "</s>"))
    if not markers.calls and not markers.harmony:
        pytest.skip("the template knows no tools")
    check(markers)


def test_the_frame_is_what_the_template_writes() -> None:
    qwen = call_frame(PARSERS["qwen3"], "f")
    assert (qwen.before, qwen.after) == ('<tool_call>\n{"name": "f", "arguments": ', "}\n</tool_call>")
    coder = call_frame(PARSERS["qwen3-coder"], "f")
    assert (coder.before, coder.key_before, coder.key_after) == ("<tool_call>\n<function=f>\n", "<parameter=", ">\n")
    assert (coder.value_after, coder.after) == ("\n</parameter>\n", "</function>\n</tool_call>")
