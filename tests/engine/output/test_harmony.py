"""The harmony format: channels become thinking, content and calls."""

from __future__ import annotations

from ollama_engine.output.parser import Content, OutputParser, Thinking
from ollama_engine.output.syntax import Markers
from tests.engine.output.answers import TOOLS, parse, splits

HARMONY = Markers(harmony=True)
_CALL = ("call", ("get_weather", {"city": "<|x"}, 0))


def order(text: str) -> list[tuple[str, object]]:
    whole = parse(HARMONY, [text], tools=TOOLS)
    for pieces in splits(text):
        assert parse(HARMONY, pieces, tools=TOOLS) == whole, pieces
    return whole.order


def test_analysis_is_thinking_and_final_is_content() -> None:
    text = "<|channel|>analysis<|message|>Well <|.<|end|><|start|>assistant<|channel|>final<|message|>Hi <b>\n"
    assert order(text) == [("thinking", "Well <|."), ("content", "Hi <b>\n")]
    assert order(text + "<|return|>") == [("thinking", "Well <|."), ("content", "Hi <b>\n")]


def test_a_commentary_message_to_a_function_is_a_call() -> None:
    for head in (
        "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>",
        " to=functions.get_weather<|channel|>commentary json<|message|>",
        "<|start|>assistant to=get_weather<|channel|>commentary<|message|>",
    ):
        assert order(head + '{"city": "<|x"}') == [_CALL]
        assert order(head + '{"city": "<|x"}<|call|>') == [_CALL]


def test_a_call_cut_off_by_the_token_limit_comes_back_as_content() -> None:
    text = '<|channel|>commentary to=functions.get_weather<|message|>{"city": "Ro'
    assert order(text) == [("content", text)]


def test_commentary_to_nobody_is_content() -> None:
    assert order("<|channel|>commentary<|message|>I will look.<|end|>") == [("content", "I will look.")]


def test_text_that_is_no_message_is_content_and_streams() -> None:
    parser = OutputParser(HARMONY)
    assert parser.push("Plain") == [Content("Plain")]
    assert parser.push(" a <b") == [Content(" a <b")]
    assert parser.finish() == []
    assert order("assistant is a word") == [("content", "assistant is a word")]
    assert order("so<|message|>Hi <|start|> you") == [("content", "soHi <|start|> you")]
    assert order("<|channel|>fin") == [("content", "<|channel|>fin")]


def test_thinking_streams_as_it_comes() -> None:
    parser = OutputParser(HARMONY)
    assert parser.push("<|channel|>analysis<|message|>I") == [Thinking("I")]
    assert parser.push(" see") == [Thinking(" see")]
    assert parser.push("<|e") == []
    assert parser.push("nd|>") == []
