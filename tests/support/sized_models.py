"""Makes GGUF models of the sizes of real ones, in no time: their weights are zero, and take no place on the disk.

What they say is nothing; what llama.cpp allocates for them is what it would allocate for a trained model of that shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, PoolingType
from gguf.quants import quant_shape_to_byte_shape

from tests.support.gguf_models import add_byte_tokenizer, add_shape, llama_tensors

Shapes = Iterator[tuple[str, tuple[int, ...]]]
F32, Q8_0, Q4_0 = GGMLQuantizationType.F32, GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0
KERNEL = 4


def dense(
    path: Path,
    *,
    n_layer: int = 12,
    width: int = 1024,
    ff: int = 2816,
    heads: int = 16,
    kv_heads: int = 4,
    vocab: int = 32_000,
    context_length: int = 131_072,
    weights: GGMLQuantizationType = Q4_0,
) -> Path:
    """Llama's shape, with grouped queries."""
    writer = GGUFWriter(path, "llama")
    tokens = _vocabulary(writer, vocab)
    add_shape(writer, n_layer, width, ff, heads, kv_heads, context_length, tokens)
    writer.add_rope_dimension_count(width // heads)
    return _write(writer, path, llama_tensors(n_layer, width, ff, heads, kv_heads, tokens), weights)


def experts(
    path: Path,
    *,
    n_layer: int = 8,
    width: int = 512,
    ff: int = 384,
    heads: int = 8,
    kv_heads: int = 2,
    count: int = 16,
    used: int = 4,
    vocab: int = 16_000,
    context_length: int = 32_768,
) -> Path:
    """Qwen3's shape with experts: a router and many small ones in each layer."""
    writer = GGUFWriter(path, "qwen3moe")
    tokens = _vocabulary(writer, vocab)
    head = width // heads
    add_shape(writer, n_layer, width, ff, heads, kv_heads, context_length, tokens)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_expert_count(count)
    writer.add_expert_used_count(used)
    writer.add_expert_feed_forward_length(ff)

    def tensors() -> Shapes:
        for name, shape in llama_tensors(n_layer, width, ff, heads, kv_heads, tokens):
            if ".ffn_" not in name or "norm" in name:
                yield name, shape
        for layer in range(n_layer):
            block = f"blk.{layer}."
            yield f"{block}attn_q_norm.weight", (head,)
            yield f"{block}attn_k_norm.weight", (head,)
            yield from _experts(block, width, ff, count)

    return _write(writer, path, tensors(), Q8_0)


def latent(
    path: Path,
    *,
    n_layer: int = 8,
    width: int = 1024,
    ff: int = 2048,
    heads: int = 16,
    rank: int = 256,
    vocab: int = 16_000,
    context_length: int = 65_536,
) -> Path:
    """DeepSeek 2's shape: keys and values as one compressed row (MLA); experts in all layers but the first."""
    rope, plain, value, q_rank, expert_ff, count = 32, 64, 64, 512, 256, 8
    writer = GGUFWriter(path, "deepseek2")
    tokens = _vocabulary(writer, vocab)
    add_shape(writer, n_layer, width, ff, heads, 1, context_length, tokens)
    writer.add_rope_dimension_count(rope)
    writer.add_q_lora_rank(q_rank)
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + rope)
    writer.add_value_length(rank)
    writer.add_key_length_mla(plain + rope)
    writer.add_value_length_mla(value)
    writer.add_leading_dense_block_count(1)
    writer.add_expert_count(count)
    writer.add_expert_used_count(2)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(expert_ff)
    writer.add_expert_weights_scale(1.0)

    def tensors() -> Shapes:
        yield "token_embd.weight", (tokens, width)
        yield "output.weight", (tokens, width)
        yield "output_norm.weight", (width,)
        for layer in range(n_layer):
            block = f"blk.{layer}."
            yield f"{block}attn_norm.weight", (width,)
            yield f"{block}attn_q_a.weight", (q_rank, width)
            yield f"{block}attn_q_a_norm.weight", (q_rank,)
            yield f"{block}attn_q_b.weight", (heads * (plain + rope), q_rank)
            yield f"{block}attn_kv_a_mqa.weight", (rank + rope, width)
            yield f"{block}attn_kv_a_norm.weight", (rank,)
            yield f"{block}attn_k_b.weight", (heads, rank, plain)
            yield f"{block}attn_v_b.weight", (heads, value, rank)
            yield f"{block}attn_output.weight", (width, heads * value)
            yield f"{block}ffn_norm.weight", (width,)
            if not layer:
                yield from _feed_forward(block, width, ff)
            else:
                yield from _experts(block, width, expert_ff, count)
                yield from _feed_forward(block, width, expert_ff, "_shexp")

    return _write(writer, path, tensors(), Q8_0)


def windowed(
    path: Path,
    *,
    n_layer: int = 12,
    width: int = 768,
    ff: int = 3072,
    heads: int = 8,
    kv_heads: int = 4,
    head: int = 128,
    window: int = 1024,
    vocab: int = 64_000,
    context_length: int = 131_072,
) -> Path:
    """Gemma 3's shape: of six layers five look back `window` tokens, the last at everything."""
    writer = GGUFWriter(path, "gemma3")
    tokens = _vocabulary(writer, vocab)
    add_shape(writer, n_layer, width, ff, heads, kv_heads, context_length, tokens)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_sliding_window(window)

    def tensors() -> Shapes:
        yield from llama_tensors(n_layer, width, ff, heads, kv_heads, tokens, head)
        for layer in range(n_layer):
            block = f"blk.{layer}."
            yield f"{block}attn_q_norm.weight", (head,)
            yield f"{block}attn_k_norm.weight", (head,)
            yield f"{block}post_attention_norm.weight", (width,)
            yield f"{block}post_ffw_norm.weight", (width,)

    return _write(writer, path, tensors(), Q8_0)


def recurrent(
    path: Path, *, n_layer: int = 12, width: int = 1024, vocab: int = 32_000, context_length: int = 131_072
) -> Path:
    """Mamba's shape: a state of fixed size, no KV cells at all."""
    writer = GGUFWriter(path, "mamba")
    tokens = _vocabulary(writer, vocab)
    add_shape(writer, n_layer, width, 0, 0, 0, context_length, tokens)
    _add_state(writer, width)

    def tensors() -> Shapes:
        yield "token_embd.weight", (tokens, width)
        yield "output_norm.weight", (width,)
        for layer in range(n_layer):
            yield f"blk.{layer}.attn_norm.weight", (width,)
            yield from _mamba(f"blk.{layer}.", width)

    return _write(writer, path, tensors(), Q8_0)


def hybrid(
    path: Path,
    *,
    n_layer: int = 12,
    width: int = 1024,
    ff: int = 2816,
    heads: int = 16,
    kv_heads: int = 4,
    every: int = 4,
    vocab: int = 32_000,
    context_length: int = 65_536,
) -> Path:
    """Jamba's shape: of `every` layers one attends, the others have a recurrent state."""
    writer = GGUFWriter(path, "jamba")
    tokens = _vocabulary(writer, vocab)
    attends = [layer % every == every - 1 for layer in range(n_layer)]
    add_shape(writer, n_layer, width, ff, heads, [kv_heads * one for one in attends], context_length, tokens)
    _add_state(writer, width)

    def tensors() -> Shapes:
        yield "output.weight", (tokens, width)
        for name, shape in llama_tensors(n_layer, width, ff, heads, kv_heads, tokens):
            layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
            if attends[layer] or ".attn_" not in name or name.endswith("attn_norm.weight"):
                yield name, shape
        for layer in range(n_layer):
            if not attends[layer]:
                yield from _mamba(f"blk.{layer}.", width)
                yield f"blk.{layer}.ssm_dt_norm.weight", (width // 16,)
                yield f"blk.{layer}.ssm_b_norm.weight", (16,)
                yield f"blk.{layer}.ssm_c_norm.weight", (16,)

    return _write(writer, path, tensors(), Q8_0)


def convolving(
    path: Path,
    *,
    n_layer: int = 10,
    width: int = 1024,
    ff: int = 2816,
    heads: int = 16,
    kv_heads: int = 8,
    every: int = 3,
    vocab: int = 32_000,
    context_length: int = 65_536,
) -> Path:
    """LFM 2's shape: of `every` layers one attends, the others convolve the last few tokens."""
    writer = GGUFWriter(path, "lfm2")
    tokens = _vocabulary(writer, vocab)
    attends = [layer % every == every - 1 for layer in range(n_layer)]
    add_shape(writer, n_layer, width, ff, heads, [kv_heads * one for one in attends], context_length, tokens)
    writer.add_shortconv_l_cache(3)
    head = width // heads

    def tensors() -> Shapes:
        for name, shape in llama_tensors(n_layer, width, ff, heads, kv_heads, tokens):
            layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
            if name == "output_norm.weight":
                yield "token_embd_norm.weight", shape
            elif attends[layer] or ".attn_" not in name or name.endswith("attn_norm.weight"):
                yield name, shape
        for layer, one in enumerate(attends):
            block = f"blk.{layer}."
            if one:
                yield f"{block}attn_q_norm.weight", (head,)
                yield f"{block}attn_k_norm.weight", (head,)
            else:
                yield f"{block}shortconv.conv.weight", (width, 3)
                yield f"{block}shortconv.in_proj.weight", (3 * width, width)
                yield f"{block}shortconv.out_proj.weight", (width, width)

    return _write(writer, path, tensors(), Q8_0)


def encoder(
    path: Path,
    *,
    n_layer: int = 6,
    width: int = 768,
    ff: int = 3072,
    heads: int = 12,
    vocab: int = 30_000,
    context_length: int = 8192,
) -> Path:
    """BERT's shape: it looks at all of an input at once, and keeps nothing of it."""
    writer = GGUFWriter(path, "bert")
    tokens = _vocabulary(writer, vocab)
    writer.add_token_type_count(2)
    add_shape(writer, n_layer, width, ff, heads, heads, context_length, tokens)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)

    def tensors() -> Shapes:
        yield "token_embd.weight", (tokens, width)
        yield "token_types.weight", (2, width)
        yield "position_embd.weight", (context_length, width)
        yield from _norm("token_embd_norm", width)
        for layer in range(n_layer):
            block = f"blk.{layer}."
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                yield f"{block}{name}.weight", (width, width)
                yield f"{block}{name}.bias", (width,)
            yield f"{block}ffn_up.weight", (ff, width)
            yield f"{block}ffn_up.bias", (ff,)
            yield f"{block}ffn_down.weight", (width, ff)
            yield f"{block}ffn_down.bias", (width,)
            yield from _norm(f"{block}attn_output_norm", width)
            yield from _norm(f"{block}layer_output_norm", width)

    return _write(writer, path, tensors(), Q8_0)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _vocabulary(writer: GGUFWriter, count: int) -> int:
    """Tokens of letters and digits, as many as a real model has."""
    own = count - 256 - 3
    return add_byte_tokenizer(writer, [b"token-%06d" % number for number in range(own)])


def _feed_forward(block: str, width: int, ff: int, suffix: str = "") -> Shapes:
    yield f"{block}ffn_gate{suffix}.weight", (ff, width)
    yield f"{block}ffn_up{suffix}.weight", (ff, width)
    yield f"{block}ffn_down{suffix}.weight", (width, ff)


def _experts(block: str, width: int, ff: int, count: int) -> Shapes:
    yield f"{block}ffn_gate_inp.weight", (count, width)
    yield f"{block}ffn_gate_exps.weight", (count, ff, width)
    yield f"{block}ffn_up_exps.weight", (count, ff, width)
    yield f"{block}ffn_down_exps.weight", (count, width, ff)


def _add_state(writer: GGUFWriter, width: int) -> None:
    writer.add_ssm_conv_kernel(KERNEL)
    writer.add_ssm_inner_size(2 * width)
    writer.add_ssm_state_size(16)
    writer.add_ssm_time_step_rank(width // 16)


def _mamba(block: str, width: int) -> Shapes:
    inner, state, rank = 2 * width, 16, width // 16
    yield f"{block}ssm_in.weight", (2 * inner, width)
    yield f"{block}ssm_conv1d.weight", (inner, KERNEL)
    yield f"{block}ssm_conv1d.bias", (inner,)
    yield f"{block}ssm_x.weight", (rank + 2 * state, inner)
    yield f"{block}ssm_dt.weight", (inner, rank)
    yield f"{block}ssm_dt.bias", (inner,)
    yield f"{block}ssm_a", (inner, state)
    yield f"{block}ssm_d", (inner,)
    yield f"{block}ssm_out.weight", (width, inner)


def _write(writer: GGUFWriter, path: Path, tensors: Shapes, weights: GGMLQuantizationType) -> Path:
    """Header and a hole behind it: a system that knows no holes in files reads zeros as well."""
    sizes: list[int] = []
    for name, shape in tensors:
        stored = weights if _is_matrix(name, shape) else F32
        byte_shape = quant_shape_to_byte_shape(shape, stored)
        sizes.append(int(np.prod(byte_shape)))
        writer.add_tensor_info(name, byte_shape, np.dtype(np.uint8), sizes[-1], raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    start = _padded(path.stat().st_size, writer.data_alignment)
    with path.open("r+b") as file:
        file.truncate(start + sum(_padded(size, writer.data_alignment) for size in sizes))
    return path


def _is_matrix(name: str, shape: Sequence[int]) -> bool:
    lasting = ("ssm_conv1d", "ssm_a", "shortconv.conv", "ffn_gate_inp", "ssm_x", "ssm_dt", "token_types")
    return len(shape) > 1 and not any(part in name for part in lasting)


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
