"""The request keys that say how tokens are chosen, to Ollama's `options` (spec §2.2).

Better than Ollama: a temperature or top_p that is absent stays absent, so that the model's own PARAMETERs hold in every
dialect, where Ollama puts 1.0 in their place.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.shapes import OptionalTexts
from ollama_engine.types import JSON, KeepAlive

_SAME_NAME = (
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "logit_bias"),
    *("min_p", "top_k", "repeat_penalty"),
)
MAX_CHOICES = 128
"""OpenAI's own limit for `n`."""


class SamplingKeys(Struct, kw_only=True):
    """What chat and text completions have in common. From `min_p` on the keys are Ollama's, as extras."""

    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: OptionalTexts = None
    logit_bias: dict[str, float] | None = None
    n: int | None = None
    min_p: float | None = None
    top_k: int | None = None
    repeat_penalty: float | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


def choices(keys: SamplingKeys) -> int:
    """How many answers are wanted."""
    n = 1 if keys.n is None else keys.n
    if not 1 <= n <= MAX_CHOICES:
        raise InvalidRequest(f"n must be between 1 and {MAX_CHOICES}")
    return n


def options_of(keys: SamplingKeys, *, max_tokens: int | None, stop: list[str] | None, choice: int = 0) -> JSON:
    """The options of the answer number `choice`: `options` of the request, and over them the dialect's own keys.

    With a seed each choice has its own, or all would be the same.
    """
    options = dict(keys.options or {})
    for name in _SAME_NAME:
        if (value := getattr(keys, name)) is not None:
            options[name] = value
    if max_tokens is not None:
        options["num_predict"] = max_tokens
    if stop is not None:
        options["stop"] = stop
    if choice and isinstance(seed := options.get("seed"), int) and seed >= 0:
        options["seed"] = seed + choice
    return options


def stop_strings(stop: Any, *, strict: bool = False) -> list[str] | None:
    """A string or a list of them. Others in the list are skipped, or with `strict` refused (spec §2.2, §2.3)."""
    if stop is None:
        return None
    entries = stop if isinstance(stop, list) else [stop]
    for entry in entries:
        if not isinstance(entry, str) and strict:
            kind = {bool: "bool", dict: "map[string]interface {}", list: "[]interface {}"}.get(type(entry), "float64")
            raise InvalidRequest(f"invalid type for 'stop' field: {kind}")
    return [entry for entry in entries if isinstance(entry, str)]
