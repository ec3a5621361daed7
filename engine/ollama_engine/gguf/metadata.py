"""What a GGUF header says about a model, in the engine's words: the numbers behind `list`, `show` and the planner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ollama_engine.gguf.capabilities import gguf_capabilities
from ollama_engine.gguf.compute import ComputeShape, compute_shape
from ollama_engine.gguf.ggml_types import FILE_TYPE_GUESSED, FILE_TYPES
from ollama_engine.gguf.header import ArrayRef, Header
from ollama_engine.gguf.infill import Infill, infill_tokens
from ollama_engine.gguf.layer_values import MAX_LAYERS, layer_numbers
from ollama_engine.gguf.memory import ModelMemory, model_memory
from ollama_engine.gguf.shards import read_model
from ollama_engine.types import Capability, ModelDetails

CHAT_TEMPLATE = "tokenizer.chat_template"
POOLING = {0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}
"""Numbers of `<arch>.pooling_type` (llama.h)."""


@dataclass(frozen=True)
class ModelMetadata:
    """One model, all shards together. Counts are 0 and texts empty where the file does not say.

    `head_count` and `head_count_kv` have one number for all layers, or one a layer. `named_templates` are the
    `tokenizer.chat_template.<name>` keys (`tool_use`, `rag` …). `add_bos` is None where llama.cpp's default for the
    tokenizer decides. `weights_bytes` are the tensors alone, without the header. `pooling` is empty where the file has
    nothing of it; `normalizes` tells whether the vectors of an embedding model are to be of length 1.
    """

    architecture: str
    name: str
    parameter_count: int
    quantization_level: str
    weights_bytes: int
    context_length: int
    embedding_length: int
    block_count: int
    head_count: tuple[int, ...]
    head_count_kv: tuple[int, ...]
    key_length: int
    value_length: int
    vocab_size: int
    chat_template: str
    named_templates: Mapping[str, str]
    bos_token_id: int | None
    eos_token_id: int | None
    bos_token: str
    eos_token: str
    add_bos: bool | None
    capabilities: tuple[Capability, ...]
    pooling: str
    is_causal: bool
    normalizes: bool
    infill: Infill | None = None
    """Tokens for fill-in-the-middle, None where the vocabulary has none."""
    memory: ModelMemory = field(default_factory=ModelMemory)
    compute: ComputeShape = field(default_factory=ComputeShape)
    """How much memory it takes, and to compute with: what the planner goes by."""

    @property
    def parameter_size(self) -> str:
        """The parameter count as Ollama prints it: `7.6B`, `494.03M`."""
        return format_parameters(self.parameter_count)

    @property
    def details(self) -> ModelDetails:
        """The same as `/api/tags` and `/api/show` have it."""
        return ModelDetails(
            format="gguf",
            family=self.architecture,
            families=[self.architecture],
            parameter_size=self.parameter_size,
            quantization_level=self.quantization_level,
            context_length=self.context_length,
            embedding_length=self.embedding_length,
        )


def read_metadata(path: Path) -> ModelMetadata:
    """The metadata of the model at `path`, the first or any other of its shards.

    Raises:
        InvalidGGUF: not a GGUF file, a broken one, or one without `general.architecture`.
    """
    return model_metadata(read_model(path))


def model_metadata(header: Header) -> ModelMetadata:
    """The metadata of a header that was read (and, for shards, merged) before.

    Raises:
        InvalidGGUF: a key has a value of the wrong kind, or there is no `general.architecture`.
    """
    architecture = header.text("general.architecture")
    if not architecture:
        raise header.fault("has no general.architecture")
    embedding_length = header.integer(f"{architecture}.embedding_length")
    head_count = layer_numbers(header, f"{architecture}.attention.head_count")
    head_count_kv = layer_numbers(header, f"{architecture}.attention.head_count_kv") or head_count
    head_length = embedding_length // max(head_count, default=0) if any(head_count) else 0
    chat_template = header.text(CHAT_TEMPLATE)
    named_templates = _named_templates(header)
    bos_token_id = _token_id(header, "tokenizer.ggml.bos_token_id")
    eos_token_id = _token_id(header, "tokenizer.ggml.eos_token_id")
    return ModelMetadata(
        architecture=architecture,
        name=header.text("general.name"),
        parameter_count=sum(tensor.elements for tensor in header.tensors),
        quantization_level=_quantization_level(header),
        weights_bytes=sum(tensor.nbytes for tensor in header.tensors),
        context_length=header.integer(f"{architecture}.context_length"),
        embedding_length=embedding_length,
        block_count=_block_count(header, architecture),
        head_count=head_count,
        head_count_kv=head_count_kv,
        key_length=header.integer(f"{architecture}.attention.key_length", head_length),
        value_length=header.integer(f"{architecture}.attention.value_length", head_length),
        vocab_size=_vocab_size(header, architecture),
        chat_template=chat_template,
        named_templates=MappingProxyType(named_templates),
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        bos_token=_token(header, bos_token_id),
        eos_token=_token(header, eos_token_id),
        add_bos=header.flag("tokenizer.ggml.add_bos_token"),
        capabilities=gguf_capabilities(header, [chat_template, *named_templates.values()]),
        pooling=POOLING.get(header.integer(f"{architecture}.pooling_type", -1), ""),
        is_causal=header.flag(f"{architecture}.attention.causal") is not False,
        normalizes=header.flag(f"{architecture}.normalize_embeddings") is not False,
        infill=infill_tokens(header),
        memory=model_memory(header),
        compute=compute_shape(header),
    )


def format_parameters(count: int) -> str:
    """A parameter count in Ollama's notation (spec §3): billions with one decimal, millions with two, none if whole."""
    for unit, suffix, decimals in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            return f"{count / unit:.{decimals if count % unit else 0}f}{suffix}"
    return str(count)


def _quantization_level(header: Header) -> str:
    """The name of `general.file_type`; without one, the tensor type that most weights have."""
    number = header.integer("general.file_type", -1)
    if number >= 0:
        return FILE_TYPES.get(number & ~FILE_TYPE_GUESSED, "unknown")
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.type] += tensor.elements
    return weights.most_common(1)[0][0] if weights else "unknown"


def _block_count(header: Header, architecture: str) -> int:
    key = f"{architecture}.block_count"
    count = header.integer(key)
    if count > MAX_LAYERS:
        raise header.fault(f"{key} is {count}; no model has so many layers")
    return count


def _vocab_size(header: Header, architecture: str) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return tokens.count if isinstance(tokens, ArrayRef) else header.integer(f"{architecture}.vocab_size")


def _named_templates(header: Header) -> dict[str, str]:
    prefix = f"{CHAT_TEMPLATE}."
    return {key.removeprefix(prefix): header.text(key) for key in header.metadata if key.startswith(prefix)}


def _token_id(header: Header, key: str) -> int | None:
    number = header.integer(key, -1)
    # Converters write -1 or 2**32 - 1 for "none".
    return number if 0 <= number < (1 << 31) else None


def _token(header: Header, index: int | None) -> str:
    return "" if index is None else header.token(index) or ""
