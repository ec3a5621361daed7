"""A runner loaded for embeddings: many inputs in one batch, each as if it were alone."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Generate
from tests.engine.runner.running import running, until
from tests.support.embedding_models import CLS, SEP, bert_model, decoder_model, nomic_model

TEXTS = [
    "the cat sat",
    "hello world",
    "the old king and the new queen: a tale",
    "x",
    "the cat sat on the mat, the dog did not; the king saw it and laughed until the evening",
    "",
]
KINDS = ["cls", "mean", "last", "rank", "nomic", "chat", "none"]
POOLINGS = {"nomic": "mean", "chat": "last", "none": "mean"}

VOCABULARY = Path(__file__).parents[4] / "shared/models/vocab/ggml-vocab-bert-bge.gguf"

Vector = Sequence[float]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("embedding")
    return {
        "cls": bert_model(folder / "cls.gguf"),
        "mean": bert_model(folder / "mean.gguf", pooling="mean"),
        "rank": bert_model(folder / "rank.gguf", pooling="rank"),
        "none": bert_model(folder / "none.gguf", pooling="none"),
        "nomic": nomic_model(folder / "nomic.gguf"),
        "last": decoder_model(folder / "last.gguf", ends=True),
        "chat": decoder_model(folder / "chat.gguf", pooling=None),
    }


def embedding(path: Path, kind: str, **spec: Any) -> Any:
    """A runner for embeddings; exact attention, so that only rounding can differ."""
    spec = {"n_ctx": 128, "n_batch": 128, "n_seq": 64, "flash_attention": False, **spec}
    return running(path, pooling=POOLINGS.get(kind, kind), **spec)


async def tokens_of(runner: Runner, texts: Sequence[str]) -> list[list[int]]:
    return [await runner.tokenize(text) or [0] for text in texts]


def near(one: Vector, other: Vector, tolerance: float = 1e-4) -> bool:
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_inputs_embedded_together_have_the_vectors_they_have_alone(kind: str, models: dict[str, Path]) -> None:
    async with embedding(models[kind], kind) as runner:
        inputs = await tokens_of(runner, TEXTS)
        together = await runner.embed(inputs)
        alone = [(await runner.embed([tokens]))[0] for tokens in inputs]
        backwards = (await runner.embed(inputs[::-1]))[::-1]
    assert len({len(vector) for vector in together}) == 1
    for i, vector in enumerate(together):
        assert near(vector, alone[i]), TEXTS[i]
        assert near(vector, backwards[i]), TEXTS[i]
        if kind != "rank":
            assert not any(near(vector, other) for j, other in enumerate(together) if j != i)


@pytest.mark.parametrize("kind", ["cls", "mean", "last", "nomic"])
async def test_vectors_are_those_of_the_high_level_package(kind: str, models: dict[str, Path]) -> None:
    expected = await asyncio.to_thread(_by_llama_cpp_python, models[kind], TEXTS[:5])
    async with embedding(models[kind], kind) as runner:
        vectors = await runner.embed(await tokens_of(runner, TEXTS[:5]), normalize=False)
    for vector, theirs in zip(vectors, expected, strict=True):
        assert near(vector, theirs, 1e-3)


async def test_without_pooling_an_encoder_gives_the_mean_and_a_chat_model_the_last(models: dict[str, Path]) -> None:
    for kind, pooled in (("none", _mean), ("chat", _last)):
        [expected] = await asyncio.to_thread(_by_llama_cpp_python, models[kind], TEXTS[:1])
        async with embedding(models[kind], kind) as runner:
            [vector] = await runner.embed(await tokens_of(runner, TEXTS[:1]), normalize=False)
        assert near(vector, pooled(expected), 1e-3), kind


@pytest.mark.skipif(not VOCABULARY.exists(), reason="the shared folder with real tokenizers is not beside the checkout")
async def test_a_real_tokenizer_gives_the_vectors_of_the_high_level_package(tmp_path: Path) -> None:
    path = bert_model(tmp_path / "bge.gguf", vocab=VOCABULARY, context_length=512)
    texts = [text.strip() for text in VOCABULARY.with_suffix(".gguf.inp").read_text().split("__ggml_vocab_test__")]
    texts = [text for text in texts if text]
    expected = await asyncio.to_thread(_by_llama_cpp_python, path, texts)
    async with embedding(path, "cls", n_ctx=512, n_batch=512) as runner:
        vectors = await runner.embed(await tokens_of(runner, texts), normalize=False)
    assert len(texts) > 20
    for text, vector, theirs in zip(texts, vectors, expected, strict=True):
        assert near(vector, theirs, 1e-3), text


def _mean(vectors: list[Vector]) -> Vector:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def _last(vectors: list[Vector]) -> Vector:
    return vectors[-1]


def _by_llama_cpp_python(path: Path, texts: list[str]) -> list[Any]:
    """What its own high-level API makes of the texts, in a process of its own."""
    code = (
        "import json, sys; from llama_cpp import Llama; path, texts = json.loads(sys.argv[1]);"
        "model = Llama(path, embedding=True, n_ctx=512, n_batch=512, n_threads=1, verbose=False);"
        "print(json.dumps([model.embed(text) for text in texts]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps([str(path), texts])], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


async def test_vectors_are_of_length_one_unless_asked_otherwise(models: dict[str, Path]) -> None:
    async with embedding(models["cls"], "cls") as runner:
        inputs = await tokens_of(runner, TEXTS)
        raw = await runner.embed(inputs, normalize=False)
        for vector, unnormalized in zip(await runner.embed(inputs), raw, strict=True):
            length = math.hypot(*unnormalized)
            assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
            assert near(vector, [value / length for value in unnormalized])


async def test_fewer_dimensions_are_cut_first_and_normalized_then(models: dict[str, Path]) -> None:
    async with embedding(models["mean"], "mean") as runner:
        inputs = await tokens_of(runner, TEXTS[:2])
        raw = await runner.embed(inputs, normalize=False)
        for vector, whole in zip(await runner.embed(inputs, dimensions=7), raw, strict=True):
            assert len(vector) == 7
            assert near(vector, [value / math.hypot(*whole[:7]) for value in whole[:7]])
        assert [len(vector) for vector in await runner.embed(inputs, dimensions=1000)] == [64, 64]


@pytest.mark.parametrize("kind", ["cls", "last"])
async def test_hundreds_of_inputs_of_several_requests_all_find_their_way_back(
    kind: str, models: dict[str, Path]
) -> None:
    async with embedding(models[kind], kind, n_seq=16) as runner:
        inputs = await tokens_of(runner, [f"{TEXTS[i % 3]} {i}" for i in range(200)])
        first, second, small = await asyncio.gather(
            runner.embed(inputs), runner.embed(inputs[::-1]), runner.embed(inputs[:1])
        )
        assert len(first) == 200
        assert all(near(one, other) for one, other in zip(first, second[::-1], strict=True))
        assert near(small[0], first[0])
        assert not (await runner.stats()).slots_busy


async def test_an_input_longer_than_a_batch_is_read_in_pieces_where_the_last_token_counts(
    models: dict[str, Path],
) -> None:
    tokens = [97 + i % 26 for i in range(100)]
    async with (
        embedding(models["last"], "last") as whole,
        embedding(models["last"], "last", n_batch=16, n_seq=4) as pieces,
    ):
        expected = await whole.embed([tokens, tokens[:5]])
        assert all(
            near(one, other)
            for one, other in zip(
                await pieces.embed([tokens[:5], tokens, tokens[:5]]), [expected[1], *expected], strict=True
            )
        )


async def test_the_longest_input_fits_and_one_token_more_is_refused_by_number(models: dict[str, Path]) -> None:
    async with embedding(models["cls"], "cls") as runner:
        longest = [CLS, *[6] * 126, SEP]
        assert len((await runner.embed([longest]))[0]) == 64
        with pytest.raises(InvalidRequest, match="input 1 has 129 tokens, the context 128"):
            await runner.embed([longest, [*longest, SEP]])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [([[5], []], "input 1 has no tokens"), ([[-1]], "vocab"), ([[1 << 20]], "vocab")],
)
async def test_what_cannot_be_embedded_is_refused(inputs: list[list[int]], words: str, models: dict[str, Path]) -> None:
    async with embedding(models["cls"], "cls") as runner:
        with pytest.raises(InvalidRequest, match=words):
            await runner.embed(inputs)
        assert len(await runner.embed([[CLS, SEP]])) == 1


async def test_a_cancelled_request_leaves_the_runner_to_the_others(models: dict[str, Path]) -> None:
    async with embedding(models["cls"], "cls", n_seq=1) as runner:
        inputs = [[CLS, *[6] * 126, SEP]] * 3000
        long = asyncio.create_task(runner.embed(inputs))
        await until(lambda: _is_queued(runner))
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        assert len(await runner.embed(inputs[:1])) == 1
        assert (await runner.stats()).queued == 0


async def test_a_small_request_does_not_wait_for_a_large_one(models: dict[str, Path]) -> None:
    async with embedding(models["cls"], "cls", n_seq=4) as runner:
        inputs = [[CLS, *[6] * 126, SEP]] * 3000
        large = asyncio.create_task(runner.embed(inputs))
        await until(lambda: _is_queued(runner))
        assert len(await runner.embed(inputs[:1])) == 1
        assert not large.done()
        large.cancel()
        with pytest.raises(asyncio.CancelledError):
            await large


async def _is_queued(runner: Runner) -> bool:
    return (await runner.stats()).queued == 1


async def test_a_runner_generates_or_embeds_and_refuses_the_other(models: dict[str, Path]) -> None:
    async with embedding(models["chat"], "chat") as runner:
        with pytest.raises(InvalidRequest, match="not loaded for this"):
            await anext(runner.generate(Generate(0, [1])))
    async with running(models["chat"]) as runner:
        with pytest.raises(InvalidRequest, match="not loaded for this"):
            await runner.embed([[1]])


async def test_a_model_that_makes_no_numbers_says_so(tmp_path: Path) -> None:
    path = bert_model(tmp_path / "nan.gguf", broken=True)
    async with embedding(path, "cls") as runner:
        with pytest.raises(InvalidRequest, match="embedding contains NaN or Inf values"):
            await runner.embed([[CLS, SEP], [CLS, 6, SEP]])
        assert runner.alive
