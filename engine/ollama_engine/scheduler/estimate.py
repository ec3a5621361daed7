"""The bytes that a load will take, part by part, before it is known where each part lies.

A `Context` is a context as the runner makes it (runner/llama_context.py, runner/embedding_context.py); `estimate` adds
up what the model takes in it. Where it lies is split.py's.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.gguf.compute import ComputeBytes, compute_bytes
from ollama_engine.gguf.header import read_header
from ollama_engine.gguf.memory import ModelMemory, kv_cells, layer_cache_bytes
from ollama_engine.gguf.metadata import ModelMetadata
from ollama_engine.gguf.projector_memory import ProjectorMemory, projector_memory
from ollama_engine.runner.protocol import Adapter

MIB = 1024 * 1024

UBATCH = 512
"""Tokens that the runner computes at once where nobody says how many."""
PROCESS = 44 * MIB
"""What a runner's process takes without a model."""
QUANTIZED_ROW = 34 / 32
"""Bytes for a number of what is multiplied with quantized weights (Q8_0)."""
NO_FLASH_ATTENTION = frozenset({"grok"})
"""Architectures that llama.cpp computes without it."""
KEPT_PROJECTORS = 64


@dataclass(frozen=True)
class Context:
    """Sizes in tokens. `unified`: all sequences share one pool of KV cells. `full_windows`: layers with a sliding
    window keep as many tokens as the others. `pooled`: it embeds, one batch of inputs at a time."""

    n_ctx: int
    n_seq: int
    n_batch: int
    n_ubatch: int = UBATCH
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attention: bool = True
    unified: bool = False
    full_windows: bool = True
    pooled: bool = False


@dataclass(frozen=True)
class Extras:
    """Files beside the weights."""

    projectors: tuple[ProjectorMemory, ...] = ()
    adapters: int = 0
    """Bytes."""


@dataclass(frozen=True)
class Estimate:
    """Bytes.

    Attributes:
        memory: the weights, layer by layer.
        cache: what each layer keeps.
        compute: buffers of a device that computes layers, and of the CPU where it computes none.
        extras: projectors and adapters, with the buffers that projectors compute in.
        process: the runner itself, with the vocabulary. Always in RAM, as is the output of `compute`.
    """

    memory: ModelMemory
    cache: tuple[int, ...]
    compute: ComputeBytes
    extra_weights: int
    extra_compute: int
    process: int

    @property
    def in_ram(self) -> int:
        """All of it, nothing on a GPU."""
        weights = self.memory.weights + self.extra_weights
        return weights + sum(self.cache) + self.compute.layers + self.extra_compute + self.fixed

    @property
    def fixed(self) -> int:
        """What lies in RAM wherever the layers are, beside weights."""
        return self.compute.output + self.process


def estimate(metadata: ModelMetadata, context: Context, extras: Extras) -> Estimate:
    """What a model takes in a context.

    Raises:
        InvalidRequest: no such type of KV cache.
    """
    memory, shape, cache = metadata.memory, metadata.compute, metadata.memory.cache
    has_cache = bool(cache.layers)
    # A recurrent state is as large as many tokens: an embedder has one.
    n_seq = 1 if context.pooled and cache.is_recurrent else context.n_seq
    total = max(context.n_ctx, context.n_batch) if context.pooled else context.n_ctx * n_seq
    n_batch = max(context.n_batch, n_seq)
    n_ubatch = n_batch if context.pooled else min(n_batch, context.n_ubatch)
    cells = kv_cells(
        cache, total, n_seq, n_ubatch, unified=context.unified or context.pooled, full_windows=context.full_windows
    )
    flash_attention = context.flash_attention and metadata.architecture not in NO_FLASH_ATTENTION
    layers = layer_cache_bytes(cache, cells, n_seq, context.type_k, context.type_v, flash_attention=flash_attention)
    n_tokens = min(n_ubatch, cells.total) if has_cache else n_ubatch
    compute = compute_bytes(
        shape,
        cache,
        cells,
        n_tokens=n_tokens,
        n_seq=n_seq,
        n_outputs=n_tokens if context.pooled else n_seq,
        flash_attention=flash_attention,
        has_cache=has_cache,
    )
    multiplied = round(QUANTIZED_ROW * n_tokens * max(shape.feed_forward, shape.queries, shape.width))
    return Estimate(
        memory=memory,
        cache=layers,
        compute=compute,
        extra_weights=extras.adapters + sum(one.weights for one in extras.projectors),
        extra_compute=sum(one.compute for one in extras.projectors),
        process=PROCESS + memory.vocabulary + multiplied,
    )


def read_extras(projector_paths: Sequence[Path], adapters: Sequence[Adapter]) -> Extras:
    """What the files say; headers are read once. OSError and InvalidGGUF as read_header."""
    return Extras(
        tuple(_projector(str(path), *_fingerprint(path)) for path in projector_paths),
        sum(os.path.getsize(adapter.path) for adapter in adapters),
    )


@functools.lru_cache(KEPT_PROJECTORS)
def _projector(path: str, size: int, time: int) -> ProjectorMemory:
    """`size` and `time` are only there to know the file by."""
    return projector_memory(read_header(Path(path)))


def _fingerprint(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
