"""Texts to tokens and back (ours; Ollama has no such endpoints)."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from ollama_engine.types.base import JSON, KeepAlive


class TokenizeRequest(Struct, omit_defaults=True):
    """A text to cut into the model's tokens (ours; Ollama has no such endpoint).

    `add_special` puts the model's own tokens around it, as before generation; `parse_special` takes what is written
    like a control token for one. `detokenize` gives the text back where nothing was added.
    """

    model: str
    content: str = ""
    add_special: bool = False
    parse_special: bool | None = None
    """None is True."""
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class TokenizeResponse(Struct, omit_defaults=True, kw_only=True):
    model: str
    tokens: list[int]
    total_duration: int = 0
    load_duration: int = 0


class DetokenizeRequest(Struct, omit_defaults=True):
    """Tokens to make text of, control tokens written out (ours)."""

    model: str
    tokens: list[int] = field(default_factory=list)
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class DetokenizeResponse(Struct, omit_defaults=True, kw_only=True):
    model: str
    content: str
    total_duration: int = 0
    load_duration: int = 0
