"""The models that other tests are built on, run by llama.cpp itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType
from llama_cpp import Llama

from tests.support.gguf_models import TINY, cut, looping_model, random_model, scripted_model
from tests.support.gguf_split import split_gguf


def complete(model: Path, *, max_tokens: int, temperature: float = 0.0) -> tuple[str, str]:
    llama = Llama(str(model), n_ctx=2048, verbose=False)
    try:
        answer = llama.create_completion("any prompt", max_tokens=max_tokens, temperature=temperature)
    finally:
        llama.close()
    assert isinstance(answer, dict)
    return answer["choices"][0]["text"], str(answer["choices"][0]["finish_reason"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ab",
        "Hello, wörld 🌍! <think>hm</think>",
        "a" * 40,
        "<|im_end|> is only text here <|im_end|>",
        "".join(chr(0x4E00 + i % 700) for i in range(1500)),
    ],
    ids=["empty", "byte", "two bytes", "unicode", "repetitive", "marker", "long"],
)
def test_a_scripted_model_says_its_text_and_ends(tmp_path: Path, text: str) -> None:
    model = scripted_model(tmp_path / "scripted.gguf", text)
    assert complete(model, max_tokens=2000, temperature=1.0) == (text, "stop")


def test_a_looping_model_never_ends_by_itself(tmp_path: Path) -> None:
    text, reason = complete(looping_model(tmp_path / "loop.gguf", "to be or not "), max_tokens=100)
    assert reason == "length"
    assert text.startswith("to be or not " * 20)


@pytest.mark.parametrize("weights", [GGMLQuantizationType.F16, GGMLQuantizationType.Q8_0])
def test_a_random_model_says_something(tmp_path: Path, weights: GGMLQuantizationType) -> None:
    model = random_model(tmp_path / "random.gguf", **TINY, weights=weights)
    assert complete(model, max_tokens=8)[0]


def test_a_split_model_says_what_the_whole_one_does(tmp_path: Path) -> None:
    shards = split_gguf(scripted_model(tmp_path / "whole.gguf", "in three parts"), 3)
    assert shards[0].name == "whole-00001-of-00003.gguf"
    assert complete(shards[0], max_tokens=50) == ("in three parts", "stop")


@pytest.mark.parametrize("text", ["abcabcabcabcab", "aaaaaaaaaaaaaaaaaaaaaaaa", "abcdabcab", "<|im_end|>"])
def test_pieces_are_all_different_and_make_the_text(text: str) -> None:
    for size in (1, 2, 3, 10):
        pieces = cut(text.encode(), size)
        assert b"".join(pieces) == text.encode()
        assert len(set(pieces)) == len(pieces)
        assert b"<|im_end|>" not in pieces
