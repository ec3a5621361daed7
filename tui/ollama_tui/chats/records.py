"""What is kept of a conversation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["done", "streaming", "stopped", "failed", "queued"]
"""A message found `streaming` on disk belongs to a workstation that was killed: it is what had been written by then.
A `queued` one is a prompt that waits for the answer before it; it is in no branch yet."""

AttachmentKind = Literal["image", "audio", "text"]


@dataclass(frozen=True, slots=True)
class Timings:
    """What an answer cost, from the engine's own counts; nanoseconds.

    `first_token_ns` and `thinking_ns` (from the first thought to the first word of the answer) are measured here.
    """

    prompt_tokens: int = 0
    prompt_ns: int = 0
    tokens: int = 0
    tokens_ns: int = 0
    load_ns: int = 0
    first_token_ns: int = 0
    thinking_ns: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called. `arguments` is JSON text."""

    name: str
    arguments: str = "{}"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with a message; `size` in bytes. What is in it lies in the store, under `digest`."""

    name: str
    kind: AttachmentKind
    size: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """`note` says why an answer ended early; `model` answered (empty for the user's own words).

    `branch` is its place among its siblings, the messages with the same `parent_id`: (2, 3) is the second of three.
    A message of the role `tool` is the result of one of the calls before it: `tool_name`, `tool_call_id`.
    `dropped_messages` and `cut_tokens` were left out of the prompt, for want of context; `context_total` is how many
    tokens there was room for.
    """

    id: int
    role: str
    content: str
    status: Status = "done"
    thinking: str = ""
    note: str = ""
    model: str = ""
    created_at: float = 0.0
    timings: Timings = field(default_factory=Timings)
    parent_id: int | None = None
    branch: tuple[int, int] = (1, 1)
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""
    attachments: tuple[Attachment, ...] = ()
    dropped_messages: int = 0
    cut_tokens: int = 0
    context_total: int = 0


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How a conversation's answers are made: what is not said here is the model's own.

    `format` is "json" or a JSON schema, `tools` are declarations as a request has them, `template` is Go's.
    """

    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    think: bool | str | None = None
    format: Any = None
    tools: tuple[dict[str, Any], ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """`draft` is the prompt not yet sent, with its `attachments`; `title` the first words that were, or a given name.

    `head_id` is the last message of the branch that is shown. `messages` and `speed` (tokens a second, over all of its
    answers) are counted for lists.
    """

    id: int
    model: str
    draft: str
    title: str
    updated_at: float
    head_id: int | None = None
    settings: ChatSettings = field(default_factory=ChatSettings)
    attachments: tuple[Attachment, ...] = ()
    unread: bool = False
    messages: int = 0
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """A message that holds the words that were searched for; `snippet` has them between MARK and UNMARK."""

    conversation: Conversation
    message_id: int
    snippet: str


MARK, UNMARK = "\x02", "\x03"
