"""The buffers that llama.cpp computes in, estimated from a model's header.

llama.cpp reserves them for the largest graph that a context can ask for: `n_tokens` of a prompt at once, the KV cache
full. Tensors take each other's places there as soon as nobody reads them any more, so what counts is the widest moment
of a layer. The factors below are those that its allocator (ggml-alloc.c) arrives at with the graphs of
llama-graph.cpp; what a load really took is remembered by scheduler/calibration.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ollama_engine.gguf.cache_layout import CacheLayout
from ollama_engine.gguf.header import Header, Tensor
from ollama_engine.gguf.layer_values import layer_numbers
from ollama_engine.gguf.memory import UNTIED, Cells

FLOAT, HALF, INDEX = 4, 2, 8
"""Bytes of an F32, an F16 and an I64."""
STREAM = 3
"""Rows of the model's width that are there while a layer computes: what goes by it, what comes in, its norm."""
GATED = 3
"""A gated feed-forward network holds what came up, its gate, and their product."""
SCAN = 2.5
"""Times the width of a state layer's first product: it, its convolution, and what the scan reads and writes."""


@dataclass(frozen=True)
class ComputeShape:
    """Widths, in numbers for one token: the most that any layer has.

    Attributes:
        width: of what goes from layer to layer.
        queries: all heads together; `heads` are how many.
        latent: what attention on compressed keys takes besides.
        values: what a token puts into the KV cache as value.
        feed_forward: all of it that is there at once, experts included.
        state: the same of a layer with a recurrent state.
        logits: 0 where it says nothing, only embeds.
        vocab: places for logits in RAM, which are there whether or not they are computed.
    """

    width: int = 0
    queries: int = 0
    heads: int = 0
    latent: int = 0
    values: int = 0
    feed_forward: int = 0
    state: int = 0
    logits: int = 0
    vocab: int = 0


@dataclass(frozen=True)
class ComputeBytes:
    """`layers`: of a device that computes layers. `inputs`: of the CPU, where it only prepares what others compute.
    `output`: results in RAM that callers read."""

    layers: int
    inputs: int
    output: int


def compute_shape(header: Header) -> ComputeShape:
    """The widths of a model.

    Raises:
        InvalidGGUF: a key has a value of the wrong kind.
    """
    architecture = header.text("general.architecture")

    def numbers(key: str) -> tuple[int, ...]:
        return layer_numbers(header, f"{architecture}.{key}") or (0,)

    widths = _Widths(header.tensors)
    width = max(numbers("embedding_length"))
    heads = max(numbers("attention.head_count"))
    key = max(numbers("attention.key_length")) or width // max(1, heads)
    value = max(numbers("attention.value_length")) or width // max(1, heads)
    key_mla = max(numbers("attention.key_length_mla"))
    return ComputeShape(
        width=width,
        queries=heads * key,
        heads=heads,
        latent=heads * key_mla + width if key_mla else 0,
        values=0 if key_mla else value * max(numbers("attention.head_count_kv")) or value * heads,
        feed_forward=max(widths.dense(), widths.experts(width, max(numbers("expert_used_count")))),
        state=round(SCAN * max(widths.of("ssm_in.weight"), widths.of("shortconv.in_proj.weight"))),
        logits=widths.of("output.weight") or (0 if architecture in UNTIED else widths.of("token_embd.weight")),
        vocab=max(widths.of("output.weight"), widths.of("token_embd.weight")),
    )


class _Widths:
    """How many numbers come out of a model's matrices: the most of all matrices of one name."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._rows: dict[str, int] = {}
        for tensor in tensors:
            name = tensor.name.split(".", 2)[-1] if tensor.name.startswith("blk.") else tensor.name
            rows = tensor.shape[1] if len(tensor.shape) > 1 else 1
            self._rows[name] = max(rows, self._rows.get(name, 0))

    def of(self, name: str) -> int:
        return self._rows.get(name, 0)

    def dense(self) -> int:
        up = self.of("ffn_up.weight")
        shared = GATED * self.of("ffn_up_shexp.weight")
        # Without a gate of its own a matrix that is twice as wide holds both, or there is none at all.
        return max(up * (GATED if self.of("ffn_gate.weight") else 1), shared)

    def experts(self, width: int, used: int) -> int:
        """Of the experts that a token uses, all at once. Their answers take the places of what made them, if those
        are large enough."""
        up = self.of("ffn_up_exps.weight") or self.of("ffn_gate_up_exps.weight") // 2
        if not up:
            return 0
        answers = width * used
        return GATED * up * used + (answers if answers > 2 * up * used else 0)


def compute_bytes(
    shape: ComputeShape,
    cache: CacheLayout,
    cells: Cells,
    *,
    n_tokens: int,
    n_seq: int,
    n_outputs: int,
    flash_attention: bool,
    has_cache: bool,
) -> ComputeBytes:
    """What a graph of `n_tokens` takes.

    Args:
        n_outputs: tokens that logits are computed for.
        has_cache: attention reads the KV cache; else only what is in the batch, so `cells` do not count.
    """
    masks = _masks(cache, cells, n_tokens, has_cache) * (HALF if flash_attention else FLOAT)
    stream = STREAM * shape.width
    # Queries leave a gap behind that is too small for what comes next. Without a cache, keys and values fill it.
    gap = shape.latent or (shape.queries if has_cache else 0)
    widest = FLOAT * n_tokens * (stream + gap + max(shape.feed_forward, shape.state))
    if not flash_attention and shape.heads:
        seen = cells.size if has_cache else n_tokens
        scores = FLOAT * n_tokens * (stream + shape.latent + 2 * shape.queries + shape.heads * seen)
        values = _values(shape, cache, n_tokens) if has_cache else FLOAT * n_tokens * shape.values
        widest = max(widest, scores + values)
    logits = FLOAT * (n_tokens * (stream + shape.queries * has_cache) + n_outputs * shape.logits)
    states = sum(layer.state for layer in cache.layers[:1]) * n_seq
    return ComputeBytes(
        layers=masks + max(widest, logits) + states,
        inputs=masks + FLOAT * n_tokens * shape.width,
        output=FLOAT * n_outputs * shape.vocab,
    )


def _masks(cache: CacheLayout, cells: Cells, n_tokens: int, has_cache: bool) -> int:
    """Numbers in the masks that say what each token looks at: one for all layers, one more for windows."""
    if not has_cache:
        return n_tokens * n_tokens * (2 if cache.window else 1)
    windowed = any(layer.windowed for layer in cache.layers)
    full = any(layer.key and not layer.windowed for layer in cache.layers)
    return n_tokens * (cells.size * full + cells.window_size * windowed)


def _values(shape: ComputeShape, cache: CacheLayout, n_tokens: int) -> int:
    """Places of the values that lie the other way round in a cache without flash attention."""
    kinds = {layer.windowed for layer in cache.layers if layer.value}
    return INDEX * n_tokens * shape.values * len(kinds)
