"""Requests that an engine works on, and those that wait (ours)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class RequestView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request as it is now."""

    id: str
    """What `cancel` takes; never used twice in an engine's life."""
    kind: Literal["chat", "generate", "embed", "rerank", "tokenize", "load"]
    model: str
    state: Literal["queued", "loading", "waiting", "prompt", "generating"]
    """`queued`: before the model may be loaded or used; `waiting`: for a slot of the loaded model."""
    created_at: str
    client: str = ""
    """Who asked: `local` for this process, else the client's address (with the name of its key, where it has one)."""
    position: int = 0
    """1 for the next in the queue; 0 for one that runs."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    tokens_per_second: float = 0.0
    """Of its generation so far."""
