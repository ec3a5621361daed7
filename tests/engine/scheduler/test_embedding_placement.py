"""How a model is loaded that is to embed: one batch at a time, as long as its longest input where it must be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.gguf.metadata import ModelMetadata, read_metadata
from ollama_engine.options import Options
from ollama_engine.runner.protocol import Pooling
from ollama_engine.scheduler.placement import GIB, FreeMemory, GpuMemory, Placement, place
from ollama_engine.settings import Settings
from tests.support.embedding_models import bert_model, decoder_model

PLENTY = FreeMemory(ram=64 * GIB)
GPU = FreeMemory(64 * GIB, (GpuMemory("CUDA0", 48 * GIB, 48 * GIB),))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decoder_model(tmp_path_factory.mktemp("models") / "m.gguf", context_length=131_072)


@pytest.fixture(scope="module")
def causal(path: Path) -> ModelMetadata:
    return read_metadata(path)


@pytest.fixture(scope="module")
def encoder(causal: ModelMetadata) -> ModelMetadata:
    return replace(causal, is_causal=False)


def placed(
    path: Path,
    metadata: ModelMetadata,
    pooling: Pooling,
    free: FreeMemory = PLENTY,
    settings: Settings | None = None,
    **options: Any,
) -> Placement:
    return place([path], metadata, Options(**options), frozenset(options), settings or Settings(), free, pooling)


def test_the_header_says_how_a_model_pools(tmp_path: Path, causal: ModelMetadata) -> None:
    assert (causal.pooling, causal.is_causal, causal.normalizes) == ("last", True, True)
    metadata = read_metadata(bert_model(tmp_path / "bert.gguf", pooling="none", normalize=False))
    assert (metadata.pooling, metadata.is_causal, metadata.normalizes) == ("none", False, False)
    assert read_metadata(bert_model(tmp_path / "bert.gguf", pooling="rank")).pooling == "rank"
    assert read_metadata(decoder_model(tmp_path / "chat.gguf", pooling=None)).pooling == ""


def test_an_encoder_has_a_batch_as_long_as_its_context(path: Path, encoder: ModelMetadata) -> None:
    spec = placed(path, encoder, "mean").spec
    assert (spec.pooling, spec.n_ctx, spec.n_batch, spec.n_seq) == ("mean", 4096, 4096, 64)
    assert placed(path, encoder, "cls", num_ctx=2000, num_batch=64).spec.n_batch == 2000


def test_a_causal_model_whose_last_token_counts_needs_no_long_batch(path: Path, causal: ModelMetadata) -> None:
    spec = placed(path, causal, "last").spec
    assert (spec.n_ctx, spec.n_batch) == (4096, 512)
    assert placed(path, causal, "last", num_batch=1024).spec.n_batch == 1024
    assert placed(path, causal, "mean").spec.n_batch == 4096


def test_short_inputs_can_share_a_batch_whatever_the_context(path: Path, encoder: ModelMetadata) -> None:
    spec = placed(path, encoder, "mean", num_ctx=16).spec
    assert (spec.n_ctx, spec.n_batch) == (16, 512)


def test_a_context_nobody_asked_for_stays_short_where_all_of_it_is_computed_at_once(
    path: Path, encoder: ModelMetadata, causal: ModelMetadata
) -> None:
    large = Settings(context_length=100_000)
    assert placed(path, encoder, "mean", GPU).spec.n_ctx == 8192
    assert placed(path, encoder, "mean", GPU, large).spec.n_ctx == 8192
    assert placed(path, encoder, "mean", GPU, num_ctx=10_000).spec.n_ctx == 10_000
    assert placed(path, causal, "last", GPU, large).spec.n_ctx == 100_000


def test_the_context_shrinks_before_memory_is_full_unless_it_was_asked_for(path: Path, encoder: ModelMetadata) -> None:
    little = FreeMemory(ram=placed(path, encoder, "mean", num_ctx=2048).needed)
    spec = placed(path, encoder, "mean", little).spec
    assert 512 <= spec.n_ctx == spec.n_batch < 4096
    assert placed(path, encoder, "mean", little, num_ctx=4096).spec.n_ctx == 4096


def test_logits_of_every_token_are_counted_where_it_has_any(path: Path, causal: ModelMetadata) -> None:
    def needed(logits: int, vocab: int) -> int:
        return placed(path, replace(causal, compute=replace(causal.compute, logits=logits, vocab=vocab)), "rank").needed

    tokens = 4096 * 4
    assert needed(0, 150_000) - needed(0, 0) == tokens * 150_000  # places for them are there anyway
    assert needed(150_000, 150_000) - needed(0, 150_000) > tokens * 149_000


def test_a_loaded_runner_serves_a_smaller_context_and_no_larger_one(path: Path, encoder: ModelMetadata) -> None:
    loaded = placed(path, encoder, "mean", num_ctx=2048).spec
    assert placed(path, encoder, "mean", num_ctx=512).served_by(loaded)
    assert placed(path, encoder, "mean", num_batch=7).served_by(loaded)
    assert placed(path, encoder, "mean").served_by(loaded)
    assert not placed(path, encoder, "mean", num_ctx=4096).served_by(loaded)
