"""The contract of the verbs that ask a model's vocabulary, whichever engine does them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, ModelNotFound
from ollama_engine.types import ChatRequest, DetokenizeRequest, Message, TokenizeRequest
from tests.engine.contract.conftest import import_gguf
from tests.support.embedding_models import CLS, SEP, bert_model
from tests.support.gguf_models import EOS_ID

WORDS = "A café <|im_end|>"
BYTES = len("A café ".encode())


async def tokens(engine: Engine, model: str, content: str, **fields: object) -> list[int]:
    request = TokenizeRequest(model, content, **fields)  # pyright: ignore[reportArgumentType]
    return (await engine.tokenize(request)).tokens


async def test_text_becomes_tokens_and_comes_back(engine: Engine, story: str) -> None:
    cut = await tokens(engine, story, WORDS)
    assert len(cut) == BYTES + 1
    assert cut[-1] == EOS_ID
    assert (await engine.detokenize(DetokenizeRequest(story, cut))).content == WORDS
    plain = await tokens(engine, story, WORDS, parse_special=False)
    assert EOS_ID not in plain
    assert await tokens(engine, story, "") == []
    assert (await engine.detokenize(DetokenizeRequest(story, []))).content == ""


async def test_a_model_that_only_embeds_has_a_vocabulary_too(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "bert", bert_model(tmp_path / "bert.gguf"))
    assert len(await tokens(engine, "bert", "the cat")) == 2
    around = await tokens(engine, "bert", "the cat", add_special=True)
    assert (around[0], around[-1], len(around)) == (CLS, SEP, 4)


async def test_what_cannot_be(engine: Engine, story: str) -> None:
    with pytest.raises(InvalidRequest):
        await engine.detokenize(DetokenizeRequest(story, [999_999_999]))
    with pytest.raises(InvalidRequest):
        await engine.detokenize(DetokenizeRequest(story, [-1]))
    with pytest.raises(InvalidRequest, match="model is required"):
        await engine.tokenize(TokenizeRequest("", "x"))
    for model in ("nope", "story:v9"):
        with pytest.raises(ModelNotFound):
            await engine.tokenize(TokenizeRequest(model, "x"))
        with pytest.raises(ModelNotFound):
            await engine.detokenize(DetokenizeRequest(model, [1]))


async def test_the_count_of_a_chat_is_that_of_its_prompt(engine: Engine, story: str) -> None:
    request = ChatRequest(story, [Message("system", "Be brief."), Message("user", "Tell me.")])
    last = [chunk async for chunk in engine.chat(request)][-1]
    assert await engine.count_tokens(request) == last.prompt_eval_count > 0
    with pytest.raises(ModelNotFound):
        await engine.count_tokens(ChatRequest("nope", [Message("user", "x")]))
