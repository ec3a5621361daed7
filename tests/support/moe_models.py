"""Makes a small model whose layers have experts, with random weights: what can be kept in RAM while the rest is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from tests.support.gguf_models import CHATML, add_byte_tokenizer, add_shape, llama_tensors

WIDTH, FF, HEADS, EXPERTS, USED = 64, 64, 4, 4, 2


def moe_model(path: Path, *, n_layer: int = 3, context_length: int = 2048, seed: int = 5) -> Path:
    """Mixtral's shape: in each layer a router and four experts, two of which are used for a token."""
    writer = GGUFWriter(path, "llama")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, n_layer, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    writer.add_chat_template(CHATML)
    random = np.random.default_rng(seed)
    for name, shape in _tensors(n_layer, tokens):
        values = np.ones(shape) if len(shape) == 1 else random.standard_normal(shape) * 0.1
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(n_layer: int, tokens: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, shape in llama_tensors(n_layer, WIDTH, FF, HEADS, HEADS, tokens):
        if ".ffn_" not in name or "norm" in name:
            yield name, shape
    for layer in range(n_layer):
        yield f"blk.{layer}.ffn_gate_inp.weight", (EXPERTS, WIDTH)
        yield f"blk.{layer}.ffn_gate_exps.weight", (EXPERTS, FF, WIDTH)
        yield f"blk.{layer}.ffn_up_exps.weight", (EXPERTS, FF, WIDTH)
        yield f"blk.{layer}.ffn_down_exps.weight", (EXPERTS, WIDTH, FF)
