"""What a conversation looks like at one moment. Made by `ChatSession`, drawn by the Chat pane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ollama_engine.errors import EngineError
from ollama_tui.chats import Attachment, ChatSettings, StoredMessage, Timings, ToolCall


@dataclass(frozen=True)
class Reply:
    """The answer that is being written; `waiting` until the first piece of it arrives."""

    id: int
    model: str
    text: str = ""
    thinking: str = ""
    phase: Literal["waiting", "streaming"] = "waiting"
    timings: Timings = field(default_factory=Timings)
    tool_calls: tuple[ToolCall, ...] = ()
    branch: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Failure:
    """Why a prompt was not answered, or an answer not kept; `serial` tells one failure from the next."""

    error: EngineError
    serial: int


@dataclass(frozen=True)
class ContextUse:
    """How full the context was with the last answer, tokens; `total` is 0 where it is not known.

    `dropped_messages` and `cut_tokens` were left out of its prompt.
    """

    used: int = 0
    total: int = 0
    dropped_messages: int = 0
    cut_tokens: int = 0


@dataclass(frozen=True)
class ChatView:
    """A snapshot. A new `draft_serial` means that `draft` comes from here and belongs into the editor.

    `messages` are the active path of the tree, oldest first; `reply` goes on from the last of them. `queued` are
    prompts that wait for the answer, `attachments` files that go along with the next prompt.
    """

    model: str = ""
    messages: tuple[StoredMessage, ...] = ()
    reply: Reply | None = None
    failure: Failure | None = None
    draft: str = ""
    draft_serial: int = 0
    queued: tuple[StoredMessage, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    context: ContextUse = field(default_factory=ContextUse)
    settings: ChatSettings = field(default_factory=ChatSettings)
    title: str = ""

    @property
    def pending_calls(self) -> tuple[ToolCall, ...]:
        """Calls of the last answer that have no result yet."""
        return () if self.reply is not None else pending_calls(self.messages)


def pending_calls(messages: tuple[StoredMessage, ...]) -> tuple[ToolCall, ...]:
    """The calls at the end of a branch that no result follows, in their order."""
    for results, message in enumerate(reversed(messages)):
        if message.role != "tool":
            return message.tool_calls[results:]
    return ()


def context_use(messages: tuple[StoredMessage, ...]) -> ContextUse:
    """As the last answer of a branch found it."""
    for message in reversed(messages):
        if message.timings.prompt_tokens:
            used = message.timings.prompt_tokens + message.timings.tokens
            if message.context_total:  # an answer longer than it pushes the oldest tokens out
                used = min(used, message.context_total)
            return ContextUse(used, message.context_total, message.dropped_messages, message.cut_tokens)
    return ContextUse()
