"""The models that the benchmarks load: random weights of well-known shapes, quantized, made once and kept."""

from __future__ import annotations

import ctypes
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.runner.llama import C
from tests.support.gguf_models import B1, M135, Shape, random_model

REPO = Path(__file__).parents[2]
REAL_VOCAB = REPO.parent / "shared/models/vocab/ggml-vocab-llama-bpe.gguf"
CACHE = Path(tempfile.gettempdir()) / "ollama-tui-bench"
Q4_K_M = 15
"""llama_ftype (llama.h)."""
F16_BYTES = 2


@dataclass(frozen=True)
class BenchModel:
    """A model file, and the bytes that a KV cell of it takes (keys and values as f16)."""

    name: str
    path: Path
    cell_bytes: int


SHAPES: dict[str, Shape] = {
    "135m": M135,
    "1b": B1,
    "7b": Shape(n_layer=32, width=4096, ff=11008, heads=32, kv_heads=32),
}


def bench_model(name: str) -> BenchModel:
    """`135m`, `1b` or `7b` as Q4_K_M with a vocabulary of 128k (of 259 where the real tokenizers are not at hand)."""
    shape = SHAPES[name]
    vocab = REAL_VOCAB if REAL_VOCAB.exists() else None
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"{name}-q4_k_m-{'128k' if vocab else 'bytes'}.gguf"
    if not path.exists():
        whole, making = path.with_suffix(f".f16.{os.getpid()}"), path.with_suffix(f".{os.getpid()}")
        try:
            random_model(whole, **shape, context_length=16_384, vocab=vocab, name=name)
            _quantize(whole, making)
            making.rename(path)
        finally:
            whole.unlink(missing_ok=True)
            making.unlink(missing_ok=True)
    head = shape["width"] // shape["heads"]
    return BenchModel(name, path, shape["n_layer"] * 2 * shape["kv_heads"] * head * F16_BYTES)


def _quantize(source: Path, target: Path) -> None:
    params = C.llama_model_quantize_default_params()
    params.ftype = Q4_K_M
    if C.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise SystemExit(f"{source} could not be quantized")
