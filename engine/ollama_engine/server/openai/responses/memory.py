"""Answers that may be gone on from (`previous_response_id`), in memory and bounded: the oldest are forgotten."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from ollama_engine.types import JSON, Message

MAX_RESPONSES = 1000
MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Remembered:
    """A response as it was sent, and the conversation up to and with it, instructions left out."""

    response: JSON
    messages: Sequence[Message]

    @property
    def size(self) -> int:
        """Bytes, more or less. What several conversations have in common counts for each of them."""
        return sum(
            len(message.content) + len(message.thinking) + sum(map(len, message.images or ())) + 500
            for message in self.messages
        )


class ResponseMemory:
    """Belongs to one app; dies with it."""

    def __init__(self, max_responses: int = MAX_RESPONSES, max_bytes: int = MAX_BYTES) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, Remembered] = OrderedDict()
        self._bytes = 0

    def keep(self, response_id: str, entry: Remembered) -> None:
        self._entries[response_id] = entry
        self._bytes += entry.size
        while self._entries and (len(self._entries) > self._max_responses or self._bytes > self._max_bytes):
            self._bytes -= self._entries.popitem(last=False)[1].size

    def get(self, response_id: str) -> Remembered | None:
        """The entry, which counts as the youngest from now on."""
        if response_id in self._entries:
            self._entries.move_to_end(response_id)
        return self._entries.get(response_id)

    def forget(self, response_id: str) -> bool:
        """Whether there was one."""
        entry = self._entries.pop(response_id, None)
        self._bytes -= entry.size if entry else 0
        return entry is not None
