"""LoRA adapters for the models of `gguf_models.random_model`, and those models with adapters added to the weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter
from numpy.typing import NDArray

RANK = 4
ALPHA = 8.0
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def random_adapter(path: Path, model: Path, *, seed: int, tensors: tuple[str, ...] = ("attn_v", "attn_output")) -> Path:
    """An adapter of rank `RANK` over the named matrices of every layer of `model` (F32)."""
    random = np.random.default_rng(seed)
    pairs: dict[str, Pair] = {}
    for tensor in GGUFReader(model).tensors:
        if any(word in tensor.name for word in tensors):
            columns, rows = (int(n) for n in tensor.shape)
            a = random.standard_normal((RANK, columns)).astype(np.float32) * np.float32(0.3)
            b = random.standard_normal((rows, RANK)).astype(np.float32) * np.float32(0.3)
            pairs[tensor.name] = a, b
    return write_adapter(path, pairs, GGUFReader(model).fields["general.architecture"].contents())


def write_adapter(path: Path, pairs: Mapping[str, Pair], architecture: str = "llama") -> Path:
    """`pairs`: name of a weight -> its lora_a and lora_b, as numpy has them (rank x columns, rows x rank)."""
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, (a, b) in pairs.items():
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merged(path: Path, model: Path, adapters: Mapping[Path, float]) -> Path:
    """`model` (F32) with each adapter times its scale added to its weights: W + scale * alpha / rank * B A."""
    shutil.copyfile(model, path)
    reader = GGUFReader(path, "r+")
    weights = {tensor.name: tensor.data for tensor in reader.tensors}
    for adapter, scale in adapters.items():
        halves = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(adapter).tensors}
        for name in [name.removesuffix(".lora_a") for name in halves if name.endswith(".lora_a")]:
            a, b = halves[f"{name}.lora_a"], halves[f"{name}.lora_b"]
            weights[name][:] += np.float32(scale * ALPHA / RANK) * (b @ a)
    reader.data.flush()
    return path
