"""Frames of forced calls: what a grammar makes of them is read back as the call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ollama_engine.output.dialects import PARSERS, markers_for
from ollama_engine.output.frame import call_frame
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.types import JSON
from tests.engine.output.answers import TOOLS, parse, splits
from tests.engine.output.test_invented_templates import DIALECTS

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
_ARGUMENTS: JSON = {"city": 'a "b" {c} <d>', "days": 3}


def forced(markers: Markers) -> str:
    """A call of `get_weather` as a grammar over its frame would write it."""
    frame = call_frame(markers, "get_weather")
    if frame.arguments == "json":
        return frame.before + json.dumps(_ARGUMENTS) + frame.after
    values = {
        key: value if isinstance(value, str) and not frame.quoted else json.dumps(value)
        for key, value in _ARGUMENTS.items()
    }
    body = "".join(
        frame.key_before + key + frame.key_after + value + frame.value_after for key, value in values.items()
    )
    return frame.before + body + frame.after


def check(markers: Markers) -> None:
    for pieces in splits(forced(markers)):
        assert parse(markers, pieces, tools=TOOLS).order == [("call", ("get_weather", _ARGUMENTS, 0))], pieces


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
