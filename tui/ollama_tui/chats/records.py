"""What is kept of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["done", "streaming", "stopped", "failed"]
"""A message found `streaming` on disk belongs to a workstation that was killed: it is what had been written by then."""


@dataclass(frozen=True, slots=True)
class Timings:
    """What an answer cost, from the engine's own counts; nanoseconds. `first_token_ns` is measured here."""

    prompt_tokens: int = 0
    prompt_ns: int = 0
    tokens: int = 0
    tokens_ns: int = 0
    load_ns: int = 0
    first_token_ns: int = 0


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """`note` says why an answer ended early; `model` answered (empty for the user's own words)."""

    id: int
    role: str
    content: str
    status: Status = "done"
    thinking: str = ""
    note: str = ""
    model: str = ""
    created_at: float = 0.0
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, slots=True)
class Conversation:
    """`draft` is the prompt not yet sent; `title` the first words that were."""

    id: int
    model: str
    draft: str
    title: str
    updated_at: float
