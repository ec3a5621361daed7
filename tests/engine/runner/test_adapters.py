"""LoRA adapters: what the runner computes with them is what the merged weights compute."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from ollama_engine.errors import LoadFailed
from ollama_engine.runner.protocol import Adapter
from tests.engine.runner.running import answer, running
from tests.support.embedding_models import bert_model, decoder_model
from tests.support.lora import merged, random_adapter, write_adapter

PROMPT = "What does the adapter change?"


@pytest.fixture(scope="module")
def one(random: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(tmp_path_factory.mktemp("lora") / "one.gguf", random, seed=1)


@pytest.fixture(scope="module")
def two(random: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lora") / "two.gguf"
    return random_adapter(path, random, seed=2, tensors=("ffn_gate", "ffn_up", "ffn_down"))


async def said(model: Path, *adapters: Adapter) -> str:
    async with running(model, adapters=list(adapters)) as runner:
        return (await answer(runner, PROMPT, max_tokens=24)).text


async def test_scale_nought_changes_nothing_and_scale_one_is_the_merged_model(
    random: Path, one: Path, tmp_path: Path
) -> None:
    plain = await said(random)
    assert await said(random, Adapter(str(one), 0.0)) == plain
    adapted = await said(random, Adapter(str(one)))
    assert adapted != plain
    assert adapted == await said(merged(tmp_path / "m.gguf", random, {one: 1.0}))


async def test_adapters_add_up_each_with_its_scale(random: Path, one: Path, two: Path, tmp_path: Path) -> None:
    both = await said(random, Adapter(str(one), 0.5), Adapter(str(two), -1.5))
    assert both == await said(merged(tmp_path / "m.gguf", random, {one: 0.5, two: -1.5}))
    assert both not in (await said(random, Adapter(str(one), 0.5)), await said(random, Adapter(str(two), -1.5)))


async def test_an_adapter_of_another_model_is_named_with_the_reason(random: Path, tmp_path: Path, one: Path) -> None:
    foreign = write_adapter(tmp_path / "foreign.gguf", {}, "gemma")
    with pytest.raises(LoadFailed, match=r"adapter foreign\.gguf did not load.*arch mismatch"):
        await said(random, Adapter(str(foreign)))


async def test_the_probabilities_are_those_of_the_merged_weights(random: Path, one: Path, tmp_path: Path) -> None:
    async def likeliest(model: Path, *adapters: Adapter) -> dict[bytes, float]:
        async with running(model, adapters=list(adapters)) as runner:
            first = (await answer(runner, PROMPT, max_tokens=1, logprobs=20)).pieces[0].logprobs[0]
            return {token.piece: token.logprob for token in first.top}

    adapted = await likeliest(random, Adapter(str(one), 0.7))
    assert adapted == pytest.approx(await likeliest(merged(tmp_path / "m.gguf", random, {one: 0.7})), abs=1e-3)
    assert adapted != pytest.approx(await likeliest(random), abs=1e-3)


@pytest.mark.parametrize("pooling", ["cls", "last"])
async def test_vectors_are_made_with_the_adapters_too(pooling: Literal["cls", "last"], tmp_path: Path) -> None:
    make = bert_model if pooling == "cls" else decoder_model
    model = make(tmp_path / "m.gguf", pooling=pooling)
    lora = random_adapter(tmp_path / "a.gguf", model, seed=3, tensors=("attn_v.weight", "ffn_up.weight"))

    async def vector(model: Path, *adapters: Adapter) -> list[float]:
        async with running(model, n_ctx=128, n_batch=128, pooling=pooling, adapters=list(adapters)) as runner:
            return (await runner.embed([await runner.tokenize("the cat sat")]))[0]

    adapted = await vector(model, Adapter(str(lora), 0.5))
    assert adapted == pytest.approx(await vector(merged(tmp_path / "merged.gguf", model, {lora: 0.5})), abs=1e-3)
    assert adapted != pytest.approx(await vector(model), abs=1e-3)
    assert await vector(model, Adapter(str(lora), 0.0)) == pytest.approx(await vector(model), abs=1e-5)
