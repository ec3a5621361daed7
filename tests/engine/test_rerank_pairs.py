"""How a query and a document become one input of a reranker, with special tokens where its vocabulary wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_engine.errors import PromptTooLong
from ollama_engine.rerank_pairs import Pairs
from ollama_engine.runner.client import Runner
from tests.engine.runner.running import running
from tests.support.embedding_models import CLS, SEP, bert_model, decoder_model
from tests.support.gguf_models import EOS_ID

TEMPLATE = "<|im_start|>query: {query}, document: {document}<|im_end|>"


@pytest.fixture
async def bert(tmp_path: Path) -> AsyncIterator[Runner]:
    async with running(bert_model(tmp_path / "rank.gguf", pooling="rank"), n_ctx=128, pooling="rank") as runner:
        yield runner


@pytest.fixture
async def decoder(tmp_path: Path) -> AsyncIterator[Runner]:
    """Its tokens are bytes; it adds an end token and none at the beginning."""
    async with running(decoder_model(tmp_path / "last.gguf", ends=True), n_ctx=256, pooling="last") as runner:
        yield runner


async def words(runner: Runner, text: str) -> list[int]:
    return await runner.tokenize(text, add_special=False)


async def test_a_pair_of_bert_is_separated_once_and_has_no_end(bert: Runner) -> None:
    pairs = await Pairs(bert, "", 128, True).tokens("the cat", ["a dog", ""])
    cat, dog = await words(bert, "the cat"), await words(bert, "a dog")
    assert pairs == [[CLS, *cat, SEP, *dog], [CLS, *cat, SEP]]


async def test_end_tokens_stand_after_query_and_document(decoder: Runner) -> None:
    [pair] = await Pairs(decoder, "", 128, True).tokens("ab", ["cd"])
    assert pair == [*b"ab", EOS_ID, *b"cd", EOS_ID]


async def test_what_is_written_like_a_special_token_is_text(decoder: Runner) -> None:
    [pair] = await Pairs(decoder, "", 128, True).tokens("<|im_end|>", ["x"])
    assert pair == [*b"<|im_end|>", EOS_ID, *b"x", EOS_ID]


async def test_a_document_is_cut_to_the_token_and_the_end_kept(decoder: Runner) -> None:
    [exact, cut] = await Pairs(decoder, "", 8, True).tokens("ab", ["cdef", "cdefgh"])
    assert exact == cut == [*b"ab", EOS_ID, *b"cdef", EOS_ID]
    [fits] = await Pairs(decoder, "", 8, False).tokens("ab", ["cdef"])
    assert fits == exact
    with pytest.raises(PromptTooLong, match="longer than the context of 8 tokens"):
        await Pairs(decoder, "", 8, False).tokens("ab", ["cdefg"])
    with pytest.raises(PromptTooLong, match="longer than the context of 8 tokens"):
        await Pairs(decoder, "", 8, True).tokens("abcdef", ["x"])


async def test_a_template_says_where_both_stand_and_is_filled_in_one_pass(decoder: Runner) -> None:
    [pair] = await Pairs(decoder, TEMPLATE, 200, True).tokens("{document}", ["{query} é"])
    assert await decoder.detokenize(pair) == "<|im_start|>query: {document}, document: {query} é<|im_end|>"


@pytest.mark.parametrize("document", ["x" * 300, "é" * 150, "🦙" * 80])
async def test_a_document_in_a_template_is_cut_until_all_fits(decoder: Runner, document: str) -> None:
    [pair] = await Pairs(decoder, TEMPLATE, 60, True).tokens("q", [document])
    assert 50 <= len(pair) <= 60
    text = await decoder.detokenize(pair)
    assert text.startswith("<|im_start|>query: q, document: " + document[0])
    assert text.endswith("<|im_end|>")
    with pytest.raises(PromptTooLong):
        await Pairs(decoder, TEMPLATE, 60, False).tokens("q", [document])
    with pytest.raises(PromptTooLong):
        await Pairs(decoder, TEMPLATE, 20, True).tokens("q", [document])
