"""The history filter: old reasoning leaves the conversation."""

from __future__ import annotations

from ollama_engine.output.history import strip_thinking
from ollama_engine.output.syntax import Markers, ThinkTags
from ollama_engine.types import Message

QWEN = Markers(ThinkTags("<think>", "</think>"))


def stripped(content: str, markers: Markers = QWEN) -> str:
    messages = [Message("user", "a"), Message("assistant", content), Message("user", "b")]
    return strip_thinking(messages, markers)[1].content


def test_a_thinking_block_is_cut_from_earlier_answers() -> None:
    assert stripped("<think>\nhm\n</think>\n\nHi</think>") == "Hi</think>"
    assert stripped(" \n<think></think>Hi") == "Hi"


def test_a_block_whose_opening_tag_was_the_prompts_is_cut_too() -> None:
    assert stripped("hm\n</think>\n\nHi") == "Hi"


def test_what_is_no_block_at_the_beginning_stays() -> None:
    for content in ("Hi", "Hi <think>x</think>", "<think>never closed", ""):
        assert stripped(content) == content


def test_answers_after_the_last_question_and_other_roles_keep_theirs() -> None:
    thought = "<think>hm</think>Hi"
    messages = [Message("system", thought), Message("user", thought), Message("assistant", thought)]
    assert strip_thinking(messages, QWEN) == messages


def test_the_tags_are_the_models_own() -> None:
    gemma = Markers(ThinkTags("<|channel>thought", "<channel|>"))
    assert stripped("<|channel>thought\nhm<channel|>Hi", gemma) == "Hi"
    assert stripped("<think>hm</think>Hi", gemma) == "<think>hm</think>Hi"
    assert stripped("<think>hm</think>Hi", Markers()) == "<think>hm</think>Hi"


def test_the_conversation_given_is_not_changed() -> None:
    messages = [Message("assistant", "<think>x</think>y"), Message("user", "b")]
    strip_thinking(messages, QWEN)
    assert messages[0].content == "<think>x</think>y"
