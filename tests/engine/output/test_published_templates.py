"""Every published template: what it writes for an assistant's turn is read back as the turn it was."""

from __future__ import annotations

from functools import cache
from os.path import commonprefix
from pathlib import Path

import pytest

from ollama_engine.errors import TemplateError
from ollama_engine.output.dialects import markers_for
from ollama_engine.output.markers import infer_markers
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.render import JinjaChat
from ollama_engine.types import JSON, Message, Think, ToolCall, ToolCallFunction
from tests.engine.output.answers import TOOLS, parse, splits

_PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "chat_templates"
_NAMES = sorted(path.stem for path in _PUBLISHED.glob("*.jinja"))

# What these templates write for an assistant's turn holds no calls (or no reasoning): nothing comes back.
_NO_CALLS = {
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
_ONE_CALL = {
    "GigaChat3-10B-A1.8B",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "meta-llama-Llama-3.3-70B-Instruct",
    "openai-gpt-oss-120b",
}
_REASONING = {
    "Apriel-1.6-15b-Thinker-fixed",
    "ByteDance-Seed-OSS",
    "Cohere2MoE",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "GLM-4.6",
    "LFM2.5-8B-A1B",
    "MiniMax-M2",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
    "Qwen-Qwen3-0.6B",
    "google-gemma-4-31B-it",
    "google-gemma-4-31B-it-interleaved",
    "openai-gpt-oss-120b",
    "openbmb-MiniCPM5-1B",
}
_TRICKY: JSON = {"city": 'São "Paulo" {[} </x> \\ é, (b=1)', "days": 3}
_PLAIN: JSON = {"zone": "Europe/Rome"}

pytestmark = pytest.mark.skipif(not _NAMES, reason="shared/vectors/chat_templates is not beside this checkout")


@cache
def chat(name: str) -> JinjaChat:
    return JinjaChat((_PUBLISHED / f"{name}.jinja").read_text(encoding="utf-8"), "<s>", "</s>")


@cache
def markers(name: str) -> Markers:
    return markers_for(chat(name))


def calls(*functions: tuple[str, JSON]) -> list[ToolCall]:
    return [
        ToolCall(ToolCallFunction(name, arguments, index), id=f"abcdefgh{index}")
        for index, (name, arguments) in enumerate(functions)
    ]


def answer(name: str, message: Message, *, think: Think = None) -> tuple[str, bool]:
    """What the template writes for `message` behind the prompt, and whether the prompt is inside thinking then."""
    template = chat(name)
    ask = Message("user", "ASKED")
    prompt = template.render([ask], tools=TOOLS, think=think)
    text = template.render([ask, message], tools=TOOLS, think=think).rpartition("ASKED")[2]
    header = prompt.rpartition("ASKED")[2]
    if text.startswith(header):
        return text.removeprefix(header), markers(name).starts_in_thinking(prompt)
    tags = markers(name).thinking
    if tags and tags.open in header:
        header = header.rpartition(tags.open)[0].rstrip()
    shared = commonprefix([header, text])  # noqa: RUF071  # characters are what it is to compare
    # Where the prompt's opening tag is not repeated in front of old reasoning, the answer stands behind it.
    inside = bool(message.thinking) and tags is not None and tags.open not in text
    return text.removeprefix(shared), inside


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _NO_CALLS])
def test_a_call_comes_back_at_every_split(name: str) -> None:
    text, inside = answer(name, Message("assistant", tool_calls=calls(("get_weather", _TRICKY))))
    for pieces in splits(text):
        found = parse(markers(name), pieces, tools=TOOLS, think=None, starts_in_thinking=inside)
        assert found.calls == [("get_weather", _TRICKY)], pieces
        assert "Paulo" not in found.content


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _NO_CALLS | _ONE_CALL])
def test_parallel_calls_come_back_at_every_split(name: str) -> None:
    both = (("get_weather", _TRICKY), ("get_time", _PLAIN))
    text, inside = answer(name, Message("assistant", tool_calls=calls(*both)))
    for pieces in splits(text):
        assert parse(markers(name), pieces, tools=TOOLS, starts_in_thinking=inside).calls == list(both), pieces


@pytest.mark.parametrize("name", sorted(_REASONING & set(_NAMES)))
def test_reasoning_comes_back_at_every_split(name: str) -> None:
    reason = "First this,\n\nthen <that> & the rest."
    message = Message("assistant", thinking=reason, tool_calls=calls(("get_time", _PLAIN)))
    text, inside = answer(name, message, think=True)
    for pieces in splits(text):
        found = parse(markers(name), pieces, tools=TOOLS, think=True, starts_in_thinking=inside)
        assert (found.thinking, found.calls) == (reason, [("get_time", _PLAIN)]), pieces


@pytest.mark.parametrize("name", _NAMES)
def test_plain_content_is_left_as_it_is(name: str) -> None:
    text = 'Well: {"a": [1]} <b>is</b>\n\n  [x] — done. '
    for pieces in splits(text):
        assert parse(markers(name), pieces, tools=TOOLS).order == [("content", text)]


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _NO_CALLS])
def test_a_call_cut_off_by_the_token_limit_comes_back_as_content(name: str) -> None:
    text, inside = answer(name, Message("assistant", tool_calls=calls(("get_weather", {"city": "Rome", "days": 3}))))
    cut = text[: text.index("Rome") + 2]
    found = parse(markers(name), list(cut), tools=TOOLS, starts_in_thinking=inside)
    assert found.calls == []
    assert "get_weather" in found.content
    assert found.content.endswith("Ro")


@pytest.mark.parametrize("name", [name for name in _NAMES if name not in _NO_CALLS | {"openai-gpt-oss-120b"}])
def test_inference_alone_knows_how_the_template_calls(name: str) -> None:
    inferred = infer_markers(chat(name))
    text, inside = answer(name, Message("assistant", tool_calls=calls(("get_weather", _TRICKY))))
    assert parse(inferred, [text], tools=TOOLS, starts_in_thinking=inside).calls == [("get_weather", _TRICKY)]


@pytest.mark.parametrize("name", _NAMES)
def test_the_prompt_says_whether_the_answer_starts_inside_thinking(name: str) -> None:
    try:
        prompt = chat(name).render([Message("user", "hello")], tools=None, think=True)
    except TemplateError as error:
        pytest.skip(str(error))
    opened = prompt.rstrip().endswith(("<think>", "<|START_THINKING|>", "reasoning steps:"))
    assert markers(name).starts_in_thinking(prompt) == markers(name).opens_thinking == opened
