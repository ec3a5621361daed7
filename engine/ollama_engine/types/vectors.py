"""Texts to make vectors of, or to put in order."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from ollama_engine.types.base import JSON, KeepAlive


class EmbedRequest(Struct, omit_defaults=True):
    """Texts to make vectors of: `input` is a string or a list of them. Without any the model is loaded."""

    model: str
    input: Any = None
    truncate: bool | None = None
    """False refuses an input that is longer than the context; else its end is left out."""
    dimensions: int = 0
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None
    normalize: bool | Literal["model"] = True
    """Ours. False gives vectors as llama.cpp pools them; `model` normalises them unless the GGUF says not to."""


class EmbedResponse(Struct, omit_defaults=True, kw_only=True):
    """A vector for each input, in order; of length 1 unless asked otherwise."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    """Tokens that were embedded, special ones included."""


class RerankRequest(Struct, omit_defaults=True):
    """Documents to put in order of their relevance to `query` (ours; Ollama has no such endpoint)."""

    model: str
    query: str = ""
    documents: list[str] = field(default_factory=list)
    top_n: int = 0
    """How many of the best are wanted; 0 for all."""
    truncate: bool | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class RankedDocument(Struct):
    """`index` into the request's documents; `relevance_score` as the model's head gives it, larger is better."""

    index: int
    relevance_score: float


class RerankResponse(Struct, omit_defaults=True, kw_only=True):
    """The best document first; equal scores in the order they came."""

    model: str
    results: list[RankedDocument]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
