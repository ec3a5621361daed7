"""The contract of the verbs that make vectors and put documents in order, whichever engine does them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest, ModelNotFound
from ollama_engine.types import EmbedRequest, GenerateRequest, RerankRequest
from tests.engine.contract.conftest import import_gguf
from tests.support.embedding_models import bert_model, decoder_model, qwen_ranker

WIDTH = 64
QWEN_RERANK = "<|im_start|>{query}<|im_end|>{document}<|endoftext|>"

Model = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="session")
def embedders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("embedders")
    return {
        "bert": bert_model(folder / "bert.gguf"),
        "raw": bert_model(folder / "raw.gguf", normalize=False),
        "broken": bert_model(folder / "broken.gguf", broken=True),
        "last": decoder_model(folder / "last.gguf", ends=True),
        "chat": decoder_model(folder / "chat.gguf", pooling=None),
        "rank": bert_model(folder / "rank.gguf", pooling="rank"),
        "ranker": qwen_ranker(folder / "ranker.gguf", QWEN_RERANK),
    }


@pytest.fixture
def model(engine: Engine, embedders: dict[str, Path]) -> Model:
    """Makes one of the models above in the engine's store."""

    async def make(name: str) -> str:
        await import_gguf(engine, name, embedders[name])
        return name

    return make


def near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(math.isclose(a, b, abs_tol=2e-3) for a, b in zip(one, other, strict=True))


async def test_embed_gives_a_vector_of_length_one_for_each_input(engine: Engine, model: Model) -> None:
    texts = ["the cat", "hello", "the old king", ""]
    answer = await engine.embed(EmbedRequest(await model("bert"), texts))
    assert answer.model == "bert"
    assert [len(vector) for vector in answer.embeddings] == [WIDTH] * 4
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in answer.embeddings)
    words = 2 + 1 + 3 + 0
    assert answer.prompt_eval_count == words + 4 * 2  # each between [CLS] and [SEP]
    assert answer.total_duration >= answer.load_duration > 0
    [alone] = (await engine.embed(EmbedRequest("bert", "hello"))).embeddings
    assert near(alone, answer.embeddings[1])


async def test_two_hundred_inputs_come_back_in_their_order(engine: Engine, model: Model) -> None:
    texts = [f"tale {number}" for number in range(200)]
    answer = await engine.embed(EmbedRequest(await model("bert"), texts))
    backwards = await engine.embed(EmbedRequest("bert", texts[::-1]))
    assert len(answer.embeddings) == 200
    assert all(map(near, answer.embeddings, backwards.embeddings[::-1]))
    assert not near(answer.embeddings[1], answer.embeddings[2])


@pytest.mark.parametrize("nothing", [None, "", []])
async def test_without_input_the_model_is_only_loaded(engine: Engine, model: Model, nothing: Any) -> None:
    answer = await engine.embed(EmbedRequest(await model("bert"), nothing))
    assert (answer.model, answer.embeddings) == ("bert", [])
    assert [running.name for running in await engine.running()] == ["bert:latest"]


@pytest.mark.parametrize("value", [3, True, {"text": "x"}, ["x", 3], [None], [["x"]]])
async def test_what_is_no_text_is_refused(engine: Engine, model: Model, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="invalid input type"):
        await engine.embed(EmbedRequest(await model("bert"), value))


async def test_dimensions_cut_the_vector_and_it_is_of_length_one_again(engine: Engine, model: Model) -> None:
    [whole] = (await engine.embed(EmbedRequest(await model("bert"), "the cat"))).embeddings
    [few] = (await engine.embed(EmbedRequest("bert", "the cat", dimensions=8))).embeddings
    assert near(few, [value / math.hypot(*whole[:8]) for value in whole[:8]])
    for dimensions in (0, WIDTH, 5000):
        [same] = (await engine.embed(EmbedRequest("bert", "the cat", dimensions=dimensions))).embeddings
        assert near(same, whole)


async def test_a_text_that_is_too_long_is_cut_or_refused(engine: Engine, model: Model) -> None:
    long = "cat " * 500
    answer = await engine.embed(EmbedRequest(await model("bert"), ["cat " * 126, long, "cat " * 125]))
    assert answer.prompt_eval_count == 128 + 128 + 127
    assert near(answer.embeddings[1], answer.embeddings[0])
    assert not near(answer.embeddings[1], answer.embeddings[2])
    with pytest.raises(InvalidRequest, match=r"^the input length exceeds the context length$"):
        await engine.embed(EmbedRequest("bert", ["cat", long], truncate=False))
    fits = await engine.embed(EmbedRequest("bert", "cat " * 126, truncate=False))
    assert near(fits.embeddings[0], answer.embeddings[0])


async def test_num_ctx_is_a_limit_and_one_that_leaves_nothing_is_refused(engine: Engine, model: Model) -> None:
    short = await engine.embed(EmbedRequest(await model("bert"), "cat cat cat cat", options={"num_ctx": 4}))
    assert short.prompt_eval_count == 4
    [expected] = (await engine.embed(EmbedRequest("bert", "cat cat"))).embeddings
    assert near(short.embeddings[0], expected)
    with pytest.raises(InvalidRequest, match=r"^input after truncation exceeds maximum context length$"):
        await engine.embed(EmbedRequest("bert", "cat cat", options={"num_ctx": 2}))


async def test_a_decoder_keeps_its_end_token_when_a_text_is_cut(engine: Engine, model: Model) -> None:
    answer = await engine.embed(EmbedRequest(await model("last"), ["x" * 255, "x" * 1000, ""]))
    assert answer.prompt_eval_count == 256 + 256 + 1
    assert near(answer.embeddings[0], answer.embeddings[1])


async def test_a_chat_model_embeds_and_still_speaks(engine: Engine, model: Model) -> None:
    texts = ["the cat", "", "the dog"]
    answer = await engine.embed(EmbedRequest(await model("chat"), texts))
    assert len({tuple(vector) for vector in answer.embeddings}) == 3
    chunks = [chunk async for chunk in engine.generate(GenerateRequest("chat", "x", options={"num_predict": 3}))]
    assert chunks[-1].done
    assert [running.name for running in await engine.running()] == ["chat:latest"] * 2
    again = await engine.embed(EmbedRequest("chat", texts))
    assert all(map(near, again.embeddings, answer.embeddings))
    await engine.unload("chat")
    async with asyncio.timeout(10):
        while await engine.running():
            pass


async def test_load_brings_an_embedding_model_in(engine: Engine, model: Model) -> None:
    await engine.load(await model("bert"), keep_alive="10m")
    [running] = await engine.running()
    assert (running.name, running.state) == ("bert:latest", "idle")
    assert (await engine.embed(EmbedRequest("bert", "cat"))).load_duration < 1e9
    [same] = await engine.running()
    assert same.pid == running.pid


async def test_numbers_that_are_none_are_an_error(engine: Engine, model: Model) -> None:
    with pytest.raises(InvalidRequest, match="embedding contains NaN or Inf values"):
        await engine.embed(EmbedRequest(await model("broken"), ["cat"]))


async def test_vectors_can_be_had_as_the_model_pools_them(engine: Engine, model: Model) -> None:
    for name in ("bert", "raw"):
        await model(name)
    lengths: dict[tuple[str, Any], bool] = {}
    for name in ("bert", "raw"):
        for normalize in (True, False, "model"):
            answer = await engine.embed(EmbedRequest(name, "cat", normalize=normalize))
            lengths[name, normalize] = math.isclose(math.hypot(*answer.embeddings[0]), 1, abs_tol=1e-5)
    assert lengths == {
        ("bert", True): True, ("bert", False): False, ("bert", "model"): True,
        ("raw", True): True, ("raw", False): False, ("raw", "model"): False,
    }  # fmt: skip


async def test_a_missing_model_is_not_found_in_the_words_of_embed(engine: Engine) -> None:
    with pytest.raises(ModelNotFound, match=r'^model "nope" not found, try pulling it first$'):
        await engine.embed(EmbedRequest("nope", "x"))
    with pytest.raises(ModelNotFound, match="not found"):
        await engine.rerank(RerankRequest("nope", "x", ["y"]))
    with pytest.raises(InvalidRequest, match="model is required"):
        await engine.embed(EmbedRequest("", "x"))


async def test_a_cancelled_embed_leaves_the_model_idle(engine: Engine, model: Model) -> None:
    await engine.load(await model("bert"))
    task = asyncio.create_task(engine.embed(EmbedRequest("bert", ["cat " * 500] * 1500)))
    async with asyncio.timeout(60):
        while (await engine.running())[0].state != "busy":
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while (await engine.running())[0].state != "idle":
            pass
        while (await engine.running())[0].slots_busy:  # what the runner last told of itself, a moment later
            pass


DOCUMENTS = ["the dog sat", "the cat", "old king", "the cat sat on the mat", "the cat"]


@pytest.mark.parametrize("name", ["rank", "ranker"])
async def test_rerank_puts_the_best_document_first(engine: Engine, model: Model, name: str) -> None:
    answer = await engine.rerank(RerankRequest(await model(name), "cat", DOCUMENTS))
    assert answer.model == name
    assert sorted(result.index for result in answer.results) == [0, 1, 2, 3, 4]
    scores = [result.relevance_score for result in answer.results]
    assert scores == sorted(scores, reverse=True)
    by_index = {result.index: result.relevance_score for result in answer.results}
    assert math.isclose(by_index[1], by_index[4], abs_tol=1e-4)
    assert answer.prompt_eval_count > 15
    backwards = await engine.rerank(RerankRequest(name, "cat", DOCUMENTS[::-1]))
    for result in backwards.results:
        assert math.isclose(by_index[4 - result.index], result.relevance_score, abs_tol=2e-3)
    other = await engine.rerank(RerankRequest(name, "the old queen", DOCUMENTS))
    assert not near([result.relevance_score for result in other.results], scores)
    best = await engine.rerank(RerankRequest(name, "cat", DOCUMENTS, top_n=2))
    assert [result.index for result in best.results] == [result.index for result in answer.results[:2]]


@pytest.mark.parametrize("name", ["rank", "ranker"])
async def test_a_document_that_is_too_long_is_cut_or_refused(engine: Engine, model: Model, name: str) -> None:
    long = "the cat sat " * 300
    answer = await engine.rerank(RerankRequest(await model(name), "cat", [long, long + "king"]))
    first, second = answer.results
    assert math.isclose(first.relevance_score, second.relevance_score, abs_tol=1e-4)
    with pytest.raises(InvalidRequest, match="longer than the context"):
        await engine.rerank(RerankRequest(name, "cat", [long], truncate=False))
    with pytest.raises(InvalidRequest, match="longer than the context"):
        await engine.rerank(RerankRequest(name, long, ["cat"]))


async def test_rerank_without_documents_loads_and_without_a_query_is_refused(engine: Engine, model: Model) -> None:
    assert (await engine.rerank(RerankRequest(await model("rank"), "cat"))).results == []
    with pytest.raises(InvalidRequest, match="query is required"):
        await engine.rerank(RerankRequest("rank", "", ["x"]))


async def test_a_model_does_what_it_is_made_for_and_refuses_the_rest(engine: Engine, model: Model) -> None:
    for name in ("rank", "bert"):
        await model(name)
    refusals: list[tuple[Awaitable[Any], str]] = [
        (engine.embed(EmbedRequest("rank", "x")), '"rank" does not support embeddings'),
        (engine.rerank(RerankRequest("bert", "x", ["y"])), '"bert" does not support reranking'),
        (anext(engine.generate(GenerateRequest("bert", "x"))), '"bert" does not support generate'),
    ]
    for work, words in refusals:
        with pytest.raises(EngineError, match=words):
            await work
    assert await engine.running() == []
