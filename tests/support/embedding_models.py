"""Makes small GGUF models with random weights that embed or rank texts, as real llama.cpp loads them.

Their vectors mean nothing, but they depend on every token and its place: what pools, packs or cuts wrongly shows.
All weights are F32, so that the shape of a batch changes a vector by rounding alone.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGUFWriter, PoolingType, TokenType

from tests.support.gguf_models import add_byte_tokenizer, add_shape, copy_tokenizer, llama_tensors

WIDTH, FF, HEADS, LAYERS = 64, 128, 4, 2
TOKEN_TYPES = 2
WORDS = ["the", "cat", "dog", "sat", "mat", "king", "queen", "old", "new", "tale", "hello", "world"]
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)

Pooling = Literal["none", "mean", "cls", "last", "rank"]


def bert_model(
    path: Path,
    *,
    pooling: Pooling | None = "cls",
    context_length: int = 128,
    vocab: Path | None = None,
    normalize: bool | None = None,
    broken: bool = False,
    seed: int = 1,
) -> Path:
    """An encoder in BERT's shape; with `rank` a cross-encoder whose head gives one score.

    `vocab` is a GGUF whose tokenizer is copied; without it a WordPiece vocabulary of letters and WORDS. `normalize`
    is the key by which some models say whether their vectors are to be normalised. `pooling` None leaves it out.
    A `broken` one has a weight that is no number.
    """
    writer = GGUFWriter(path, "bert")
    tokens = copy_tokenizer(writer, vocab) if vocab else _wordpiece_tokenizer(writer)
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    _add_encoder_keys(writer, pooling)
    if normalize is not None:
        writer.add_bool("bert.normalize_embeddings", normalize)
    return _write(writer, path, _bert_tensors(tokens, context_length, ranks=pooling == "rank"), seed, broken=broken)


def nomic_model(path: Path, *, pooling: Pooling = "mean", context_length: int = 256, seed: int = 2) -> Path:
    """An encoder in nomic-bert's shape: rotary positions, gated feed-forward, mean of all tokens."""
    writer = GGUFWriter(path, "nomic-bert")
    tokens = _wordpiece_tokenizer(writer)
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    _add_encoder_keys(writer, pooling)
    return _write(writer, path, _nomic_tensors(tokens), seed)


def decoder_model(
    path: Path,
    *,
    pooling: Pooling | None = "last",
    context_length: int = 256,
    ends: bool = False,
    seed: int = 3,
) -> Path:
    """A causal model in llama's shape that embeds, over the bytes of a text.

    `pooling` None makes it a chat model that says nothing of embeddings. `ends` lets its tokenizer add an end token.
    """
    writer = GGUFWriter(path, "llama")
    tokens = add_byte_tokenizer(writer, [])
    writer.add_add_eos_token(ends)
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    if pooling is not None:
        writer.add_pooling_type(PoolingType[pooling.upper()])
    return _write(writer, path, llama_tensors(LAYERS, WIDTH, FF, HEADS, HEADS, tokens), seed)


def qwen_ranker(path: Path, template: str, *, context_length: int = 256, seed: int = 4) -> Path:
    """A causal reranker in Qwen3's shape: `template` says how query and document stand in its prompt."""
    head = WIDTH // HEADS
    writer = GGUFWriter(path, "qwen3")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, LAYERS, WIDTH, FF, HEADS, HEADS, context_length, tokens)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_pooling_type(PoolingType.RANK)
    writer.add_array("qwen3.classifier.output_labels", ["yes", "no"])
    writer.add_string("tokenizer.chat_template.rerank", template)
    tensors = [*llama_tensors(LAYERS, WIDTH, FF, HEADS, HEADS, tokens), ("cls.output.weight", (2, WIDTH))]
    for layer in range(LAYERS):
        tensors += [(f"blk.{layer}.attn_q_norm.weight", (head,)), (f"blk.{layer}.attn_k_norm.weight", (head,))]
    return _write(writer, path, iter(tensors), seed)


def _add_encoder_keys(writer: GGUFWriter, pooling: Pooling | None) -> None:
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_pooling_type(PoolingType[pooling.upper()])


def _wordpiece_tokenizer(writer: GGUFWriter) -> int:
    """Words, and every letter as the beginning and as the continuation of one; a word's beginning is marked."""
    pieces = [*string.ascii_lowercase, *string.digits]
    tokens = [*SPECIALS, *(f"\u2581{piece}" for piece in [*WORDS, *pieces, *string.punctuation]), *pieces]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL] * len(SPECIALS) + [TokenType.NORMAL] * (len(tokens) - len(SPECIALS))
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_bos_token_id(CLS)
    writer.add_sep_token_id(SEP)
    writer.add_unk_token_id(UNK)
    writer.add_pad_token_id(PAD)
    writer.add_mask_token_id(MASK)
    writer.add_token_type_count(TOKEN_TYPES)
    return len(tokens)


def _bert_tensors(tokens: int, context_length: int, *, ranks: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (tokens, WIDTH)
    yield "token_types.weight", (TOKEN_TYPES, WIDTH)
    yield "position_embd.weight", (context_length, WIDTH)
    yield from _norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"{block}{name}.weight", (WIDTH, WIDTH)
            yield f"{block}{name}.bias", (WIDTH,)
        yield f"{block}ffn_up.weight", (FF, WIDTH)
        yield f"{block}ffn_up.bias", (FF,)
        yield f"{block}ffn_down.weight", (WIDTH, FF)
        yield f"{block}ffn_down.bias", (WIDTH,)
        yield from _norm(f"{block}attn_output_norm")
        yield from _norm(f"{block}layer_output_norm")
    if ranks:
        yield "cls.weight", (WIDTH, WIDTH)
        yield "cls.bias", (WIDTH,)
        yield "cls.output.weight", (1, WIDTH)
        yield "cls.output.bias", (1,)


def _nomic_tensors(tokens: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (tokens, WIDTH)
    yield "token_types.weight", (TOKEN_TYPES, WIDTH)
    yield from _norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield f"{block}attn_qkv.weight", (3 * WIDTH, WIDTH)
        yield f"{block}attn_output.weight", (WIDTH, WIDTH)
        yield f"{block}ffn_up.weight", (FF, WIDTH)
        yield f"{block}ffn_gate.weight", (FF, WIDTH)
        yield f"{block}ffn_down.weight", (WIDTH, FF)
        yield from _norm(f"{block}attn_output_norm")
        yield from _norm(f"{block}layer_output_norm")


def _norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (WIDTH,)
    yield f"{name}.bias", (WIDTH,)


def _write(
    writer: GGUFWriter, path: Path, tensors: Iterator[tuple[str, tuple[int, ...]]], seed: int, *, broken: bool = False
) -> Path:
    """Weights large enough that attention is far from even, or all texts would come out nearly alike."""
    random = np.random.default_rng(seed)
    writer.add_file_type(0)
    for name, shape in tensors:
        if "norm.weight" in name:
            values = np.ones(shape, np.float32)
        else:
            scale = 0.3 if len(shape) == 2 else 0.05
            values = random.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        if broken and name == "token_embd_norm.bias":
            values[0] = np.nan
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
