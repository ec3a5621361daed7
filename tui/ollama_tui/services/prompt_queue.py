"""`PromptQueue`: prompts that were sent while an answer was being written, each on disk from the start.

Used by `ChatSession`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ollama_tui.chats import Attachment, StoredMessage
from ollama_tui.services.chat_record import ChatRecord


class PromptQueue:
    """First in, first out; the last can be taken back."""

    def __init__(self, record: ChatRecord) -> None:
        self._record = record
        self._waiting: list[tuple[StoredMessage, asyncio.Task[StoredMessage]]] = []
        self._withdrawing: list[asyncio.Task[None]] = []

    @property
    def shown(self) -> tuple[StoredMessage, ...]:
        return tuple(message for message, _ in self._waiting)

    def add(self, text: str, attachments: tuple[Attachment, ...]) -> None:
        storing = self._record.add("user", text, parent_id=None, status="queued", attachments=attachments)
        message = StoredMessage(self._record.unsaved_id(), "user", text, "queued", attachments=attachments)
        self._waiting.append((message, asyncio.create_task(storing, name="queued-prompt")))

    def next(self) -> asyncio.Task[StoredMessage] | None:
        """The first one, out of the queue: it gives the message as it was written down."""
        return self._waiting.pop(0)[1] if self._waiting else None

    async def send(self, waiting: asyncio.Task[StoredMessage], parent_id: int | None) -> StoredMessage:
        """It waits no longer: it is the message behind `parent_id`."""
        message = await waiting
        if message.id < 0 or (parent_id is not None and parent_id < 0):
            return await self._record.add("user", message.content, parent_id=parent_id, attachments=message.attachments)
        message = replace(message, status="done", parent_id=parent_id)
        await self._record.keep(message)
        await self._record.save_head(message.id)
        return message

    def take_back(self, count: int | None = None) -> tuple[StoredMessage, ...]:
        """The last `count` of them, or all, out of the queue and off the disk."""
        first = 0 if count is None else max(0, len(self._waiting) - count)
        taken, self._waiting = self._waiting[first:], self._waiting[:first]
        if taken:
            withdrawing = self._withdraw([stored for _, stored in taken])
            self._withdrawing.append(asyncio.create_task(withdrawing, name="withdraw-queued"))
        return tuple(message for message, _ in taken)

    async def _withdraw(self, stored: list[asyncio.Task[StoredMessage]]) -> None:
        await self._record.withdraw(await asyncio.gather(*stored))

    async def settle(self) -> None:
        """Wait until what was added or taken back is on disk."""
        await asyncio.gather(*(stored for _, stored in self._waiting), *self._withdrawing, return_exceptions=True)
