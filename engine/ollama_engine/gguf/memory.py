"""How much memory a model will take, estimated from its header before anything is loaded."""

from __future__ import annotations

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf.ggml_types import TYPES_BY_NAME
from ollama_engine.gguf.metadata import ModelMetadata

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""What llama.cpp can store keys and values as."""

CELL_PADDING = 256
"""llama.cpp rounds the number of KV cells up to a multiple of this."""


def kv_cache_bytes(metadata: ModelMetadata, n_ctx: int, type_k: str = "f16", type_v: str = "f16") -> int:
    """Bytes of the KV cache for `n_ctx` cells in all, of a transformer that keeps every token in every layer.

    Models with sliding windows, latent attention or recurrent layers take less than this.

    Raises:
        InvalidRequest: `type_k` or `type_v` is not one of `KV_TYPES`.
    """
    cells = -(-n_ctx // CELL_PADDING) * CELL_PADDING
    heads = metadata.head_count_kv or (0,)
    layers = heads if len(heads) > 1 else heads * metadata.block_count
    row = sum(
        _row_bytes(count * metadata.key_length, type_k) + _row_bytes(count * metadata.value_length, type_v)
        for count in layers
    )
    return cells * row


def _row_bytes(elements: int, name: str) -> int:
    if name not in KV_TYPES:
        choices = ", ".join(KV_TYPES)
        raise InvalidRequest(f"{name!r} is no type for the KV cache", hint=f"use one of {choices}")
    kind = TYPES_BY_NAME[name.upper()]
    return -(-elements // kind.block) * kind.size
