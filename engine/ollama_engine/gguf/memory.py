"""What a model takes of memory by its header alone: the bytes of its weights, layer by layer, and of what it keeps of
the sequences that it works on. Buffers to compute with are compute.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf.cache_layout import CacheLayout, LayerCache, cache_layout
from ollama_engine.gguf.ggml_types import TYPES_BY_NAME
from ollama_engine.gguf.header import ArrayRef, Header, Tensor

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""What llama.cpp can store keys and values as."""

CELL_PADDING = 256
"""llama.cpp rounds the number of KV cells of a stream up to a multiple of this."""

TOKEN_BYTES, MERGE_BYTES = 180, 90
"""What llama.cpp's tables take for a token and for a pair that is merged, text included; measured with several."""

_LAYER = re.compile(r"blk\.(\d{1,5})\.")
_EXPERTS = re.compile(r"\.ffn_(up|down|gate|gate_up)_(ch|)exps")
"""Names of the tensors of experts (llama.cpp's LLM_FFN_EXPS_REGEX)."""
_INPUT = ("token_embd.weight", "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight")
"""Looked up, never multiplied: they stay in RAM wherever the layers are."""

UNTIED = frozenset(
    (
        *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert"),
        *("jina-bert-v2", "jina-bert-v3", "eurobert", "llama-embed"),
    )
)
"""Encoders: without an output matrix they have none. In other models the embeddings of the tokens serve as one."""


@dataclass(frozen=True)
class LayerWeights:
    """Bytes. `experts` are those of the tensors of experts, which may stay in RAM; `dense` are the others'.

    `largest`, `largest_expert`: of the largest tensor of each kind.
    """

    dense: int = 0
    experts: int = 0
    largest: int = 0
    largest_expert: int = 0


@dataclass(frozen=True)
class ModelMemory:
    """Bytes of a model's weights where they are used, and what its layers keep of a sequence.

    Attributes:
        input: what is only looked up.
        output: the output layer.
        tied: of `output` what are the embeddings of the tokens over again; in RAM both are the same bytes.
        vocabulary: what the tokenizer makes of its lists in RAM.
    """

    layers: tuple[LayerWeights, ...] = ()
    input: int = 0
    output: int = 0
    tied: int = 0
    vocabulary: int = 0
    cache: CacheLayout = field(default_factory=CacheLayout)

    @property
    def layer_count(self) -> int:
        """Layers that can be placed, the output layer counted as one."""
        return len(self.layers) + 1

    @property
    def has_experts(self) -> bool:
        return any(layer.experts for layer in self.layers)

    @property
    def weights(self) -> int:
        """All of it in RAM."""
        return self.input + self.output - self.tied + sum(layer.dense + layer.experts for layer in self.layers)


@dataclass(frozen=True)
class Cells:
    """How the KV cache is laid out: `streams` with `size` cells each, of which a windowed layer has `window_size`."""

    streams: int
    size: int
    window_size: int

    @property
    def total(self) -> int:
        return self.streams * self.size

    @property
    def windowed(self) -> int:
        return self.streams * self.window_size


def model_memory(header: Header) -> ModelMemory:
    """What a header, of all shards of a model together, says about its memory.

    Raises:
        InvalidGGUF: a key has a value of the wrong kind.
    """
    architecture = header.text("general.architecture")
    cache = cache_layout(header)
    # A block has a tensor at least: what claims more is none that loads.
    blocks = min(header.integer(f"{architecture}.block_count"), len(header.tensors))
    unused = min(blocks, header.integer(f"{architecture}.nextn_predict_layers")) if blocks else 0
    tensors: dict[int, list[Tensor]] = {}
    given: list[Tensor] = []
    for tensor in header.tensors:
        match = _LAYER.match(tensor.name)
        if match is None:
            given.append(tensor)
        elif int(match[1]) < (blocks - unused or blocks):  # what predicts further tokens is not loaded
            tensors.setdefault(int(match[1]), []).append(tensor)
    embeddings = next((tensor for tensor in given if tensor.name == "token_embd.weight"), None)
    has_output = any(tensor.name == "output.weight" for tensor in given)
    tied = embeddings if embeddings and not has_output and architecture not in UNTIED else None
    return ModelMemory(
        layers=tuple(_weights(tensors.get(layer, ())) for layer in range(blocks if tensors else 0)),
        input=sum(tensor.nbytes for tensor in given if tensor.name in _INPUT),
        output=sum(tensor.nbytes for tensor in given if tensor.name not in _INPUT) + (tied.nbytes if tied else 0),
        tied=tied.nbytes if tied else 0,
        vocabulary=_count(header, "tokenizer.ggml.tokens") * TOKEN_BYTES
        + _count(header, "tokenizer.ggml.merges") * MERGE_BYTES,
        cache=cache,
    )


def _count(header: Header, key: str) -> int:
    value = header.metadata.get(key)
    return value.count if isinstance(value, ArrayRef) else 0


def _weights(tensors: Iterable[Tensor]) -> LayerWeights:
    dense, experts = [0], [0]
    for tensor in tensors:
        (experts if _EXPERTS.search(tensor.name) else dense).append(tensor.nbytes)
    return LayerWeights(sum(dense), sum(experts), max(dense), max(experts))


def kv_cells(cache: CacheLayout, n_ctx: int, n_seq: int, n_ubatch: int, *, unified: bool, full_windows: bool) -> Cells:
    """The KV cells of a context of `n_ctx` tokens, for `n_seq` sequences, computed `n_ubatch` tokens at once.

    Args:
        n_ctx: of all sequences together.
        unified: all sequences share one stream of cells; else each has its own.
        full_windows: windowed layers have as many cells as the others.
    """
    streams = 1 if unified else n_seq
    size = _padded(-(-n_ctx // streams))
    window = cache.window * (n_seq if unified else 1) + n_ubatch
    return Cells(streams, size, size if full_windows else _padded(min(size, window)))


def layer_cache_bytes(
    cache: CacheLayout, cells: Cells, n_seq: int, type_k: str, type_v: str, *, flash_attention: bool = True
) -> tuple[int, ...]:
    """Bytes that each layer keeps, `n_seq` recurrent states included.

    Raises:
        InvalidRequest: `type_k` or `type_v` is not one of `KV_TYPES`.
    """
    # Without flash attention values lie the other way round, in rows as long as the longest.
    longest = 0 if flash_attention else max((layer.value for layer in cache.layers), default=0)

    def of(layer: LayerCache) -> int:
        count = cells.windowed if layer.windowed else cells.total
        value = (longest or layer.value) if layer.value else 0
        row = _row_bytes(layer.key, type_k) + _row_bytes(value, type_v) + _row_bytes(layer.indexer, type_k)
        return row * count + layer.state * n_seq

    return tuple(map(of, cache.layers))


def _row_bytes(elements: int, name: str) -> int:
    if name not in KV_TYPES:
        choices = ", ".join(KV_TYPES)
        raise InvalidRequest(f"{name!r} is no type for the KV cache", hint=f"use one of {choices}")
    kind = TYPES_BY_NAME[name.upper()]
    return -(-elements // kind.block) * kind.size


def _padded(cells: int) -> int:
    return -(-cells // CELL_PADDING) * CELL_PADDING
