"""Which tokens stand around a hole to fill in, told from the header alone, as llama.cpp tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.gguf import read_header
from ollama_engine.gguf.cursor import MARK_EVERY
from ollama_engine.gguf.infill import infill_tokens
from ollama_engine.gguf.vocabulary import find_tokens
from ollama_engine.runner.llama import C
from tests.engine.runner.stepping import load
from tests.support import gguf_bytes as b
from tests.support import gguf_models
from tests.support.gguf_models import scripted_model

SPELLINGS = [
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<PRE>", "<SUF>", "<MID>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    ("<|prefix|>", "<|suffix|>", "<|middle|>"),
]
KEYS = [f"tokenizer.ggml.fim_{word}_token_id" for word in ("pre", "suf", "mid")]
OLD_KEYS = [f"tokenizer.ggml.{word}_token_id" for word in ("prefix", "suffix", "middle")]
NONE = 2**32 - 1


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_that_llama_cpp_knows_is_found_where_it_finds_it(
    spelling: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *reversed(spelling)])
    path = scripted_model(tmp_path / "m.gguf", "text")
    vocab = load(path).vocab
    told = (C.llama_vocab_fim_pre(vocab), C.llama_vocab_fim_suf(vocab), C.llama_vocab_fim_mid(vocab))
    found = infill_tokens(read_header(path))
    assert found is not None
    assert (found.prefix, found.suffix, found.middle) == told == (261, 260, 259)
    assert found.texts == spelling


def infill(tmp_path: Path, words: list[str], **keys: int) -> tuple[int, int, int] | None:
    path = tmp_path / "m.gguf"
    numbers = [b.number(key, value) for key, value in keys.items()]
    path.write_bytes(b.gguf([b.text("general.architecture", "llama"), *numbers, b.tokens(words)]))
    found = infill_tokens(read_header(path))
    return None if found is None else (found.prefix, found.suffix, found.middle)


@pytest.mark.parametrize("keys", [KEYS, OLD_KEYS, [OLD_KEYS[0], *KEYS[1:]]])
def test_keys_name_tokens_of_any_text(keys: list[str], tmp_path: Path) -> None:
    assert infill(tmp_path, ["a", "b", "c"], **dict(zip(keys, (2, 0, 1), strict=True))) == (2, 0, 1)


def test_a_key_beyond_the_vocabulary_counts_as_none(tmp_path: Path) -> None:
    words = ["a", "<PRE>", "<SUF>", "<MID>"]
    assert infill(tmp_path, words, **{KEYS[0]: 0, KEYS[1]: NONE, KEYS[2]: 4}) == (0, 2, 3)
    assert infill(tmp_path, ["a", "b"], **{KEYS[0]: 0, KEYS[1]: 1, KEYS[2]: NONE}) is None


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["<PRE>", "<SUF>"],
        ["<PRE>", "<SUF>", "a <MID> b"],
        ["<PRE>", "<fim_suffix>", "<|middle|>"],
        # The middle's text with its length before it, but inside another token.
        ["<PRE>", "<SUF>", "x" + (5).to_bytes(8, "little").decode() + "<MID>", "another"],
    ],
)
def test_a_vocabulary_without_all_three_has_none(words: list[str], tmp_path: Path) -> None:
    assert infill(tmp_path, words) is None


def test_tokens_are_found_far_into_a_large_vocabulary(tmp_path: Path) -> None:
    words = [f"word {number}" for number in range(3 * MARK_EVERY)]
    path = tmp_path / "m.gguf"
    path.write_bytes(b.gguf([b.text("general.architecture", "llama"), b.tokens(words)]))
    for number in (0, 1, MARK_EVERY - 1, MARK_EVERY, 2 * MARK_EVERY + 7, len(words) - 1):
        assert find_tokens(read_header(path), [words[number], "no word"]) == {words[number]: number}
