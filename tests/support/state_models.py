"""Makes small GGUF models with random weights for every kind of memory that llama.cpp has, and ones that compute NaN.

A recurrent model keeps a state of fixed size, a hybrid one both, a sliding window lets go of what is behind it: what
of them can be cut back, shared or reused differs from a plain transformer. Byte vocabulary, all weights F32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from tests.support.gguf_models import add_byte_tokenizer, add_shape, llama_tensors

WIDTH, FF, HEADS, LAYERS = 64, 128, 4, 2
INNER, STATE, RANK, KERNEL = 2 * WIDTH, 16, 8, 4

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def mamba_model(path: Path, *, context_length: int = 2048, seed: int = 1) -> Path:
    """Recurrent: a state of fixed size, no KV cells at all."""
    writer = GGUFWriter(path, "mamba")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    _add_ssm_keys(writer)
    return _write(writer, path, _mamba_tensors(tokens), seed)


def hybrid_model(path: Path, *, context_length: int = 2048, seed: int = 2) -> Path:
    """Jamba's shape: a layer with a recurrent state, then one with attention."""
    writer = GGUFWriter(path, "jamba")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, [0, HEADS], context_length, tokens)
    _add_ssm_keys(writer)
    return _write(writer, path, _jamba_tensors(tokens), seed)


def sliding_model(path: Path, *, window: int = 32, context_length: int = 2048, seed: int = 3) -> Path:
    """Gemma 3's shape: of two layers the first looks back `window` tokens, the second at everything."""
    writer = GGUFWriter(path, "gemma3")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_sliding_window(window)
    writer.add_sliding_window_pattern(2)
    return _write(writer, path, _gemma_tensors(tokens), seed)


def llama_model(path: Path, *, broken: int | None = None, context_length: int = 2048, seed: int = 4) -> Path:
    """Attention alone, with weights large enough that each answer depends on every token of the prompt and its place.

    With `broken` it computes NaN once it has read that token, and sensible numbers before; it never says it.
    """
    writer = GGUFWriter(path, "llama")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    shapes = [*llama_tensors(LAYERS, WIDTH, FF, HEADS, HEADS, tokens), ("output.weight", (tokens, WIDTH))]
    return _write(writer, path, iter(shapes), seed, broken=broken)


def _add_ssm_keys(writer: GGUFWriter) -> None:
    writer.add_ssm_conv_kernel(KERNEL)
    writer.add_ssm_inner_size(INNER)
    writer.add_ssm_state_size(STATE)
    writer.add_ssm_time_step_rank(RANK)


def _ssm_tensors(block: str) -> Shapes:
    yield f"{block}ssm_in.weight", (2 * INNER, WIDTH)
    yield f"{block}ssm_conv1d.weight", (INNER, KERNEL)
    yield f"{block}ssm_conv1d.bias", (INNER,)
    yield f"{block}ssm_x.weight", (RANK + 2 * STATE, INNER)
    yield f"{block}ssm_dt.weight", (INNER, RANK)
    yield f"{block}ssm_dt.bias", (INNER,)
    yield f"{block}ssm_a", (INNER, STATE)
    yield f"{block}ssm_d", (INNER,)
    yield f"{block}ssm_out.weight", (WIDTH, INNER)


def _mamba_tensors(tokens: int) -> Shapes:
    yield "token_embd.weight", (tokens, WIDTH)
    yield "output.weight", (tokens, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    for layer in range(LAYERS):
        yield f"blk.{layer}.attn_norm.weight", (WIDTH,)
        yield from _ssm_tensors(f"blk.{layer}.")


def _jamba_tensors(tokens: int) -> Shapes:
    yield "output.weight", (tokens, WIDTH)
    for name, shape in llama_tensors(LAYERS, WIDTH, FF, HEADS, HEADS, tokens):
        if not name.startswith("blk.0.attn_") or name == "blk.0.attn_norm.weight":
            yield name, shape
    yield from _ssm_tensors("blk.0.")
    yield "blk.0.ssm_dt_norm.weight", (RANK,)
    yield "blk.0.ssm_b_norm.weight", (STATE,)
    yield "blk.0.ssm_c_norm.weight", (STATE,)


def _gemma_tensors(tokens: int) -> Shapes:
    yield from llama_tensors(LAYERS, WIDTH, FF, HEADS, HEADS, tokens)
    yield "output.weight", (tokens, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield f"{block}attn_q_norm.weight", (WIDTH // HEADS,)
        yield f"{block}attn_k_norm.weight", (WIDTH // HEADS,)
        yield f"{block}post_attention_norm.weight", (WIDTH,)
        yield f"{block}post_ffw_norm.weight", (WIDTH,)


def _write(writer: GGUFWriter, path: Path, tensors: Shapes, seed: int, *, broken: int | None = None) -> Path:
    random = np.random.default_rng(seed)
    writer.add_file_type(0)
    for name, shape in tensors:
        if "norm.weight" in name:
            values = np.ones(shape, np.float32)
        elif name.endswith("ssm_a"):
            # How fast each state fades: slowly enough that an answer depends on the whole prompt.
            values = -np.exp(random.uniform(-4, 0, shape)).astype(np.float32)
        else:
            values = random.standard_normal(shape, dtype=np.float32) * np.float32(0.15)
        if name == "token_embd.weight" and broken is not None:
            values[broken] = np.nan
        if name == "output.weight" and broken is not None:
            values[broken] = 0  # never the likeliest: it does not say that token itself
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
