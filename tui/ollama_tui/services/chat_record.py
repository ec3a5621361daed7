"""`ChatRecord`: one conversation on disk. Where the disk refuses, one can still talk: what was said lives in memory.

Used by `ChatSession`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from ollama_engine.errors import StoreError
from ollama_tui.chats import Attachment, ChatSettings, ChatStore, Conversation, Status, StoredMessage


@dataclass
class Unsaved:
    """What the conversation's own row is to say."""

    model: str
    draft: str = ""
    title: str = ""
    attachments: tuple[Attachment, ...] = ()
    settings: ChatSettings = field(default_factory=ChatSettings)

    @property
    def is_empty(self) -> bool:
        return not (self.draft or self.attachments)


class ChatRecord:
    """`refused` is told of each StoreError that is not raised. `id` is 0 while nothing was written."""

    def __init__(
        self,
        store: ChatStore,
        own: Unsaved,
        *,
        saved: Conversation | None,
        clock: Callable[[], float],
        refused: Callable[[StoreError], None],
    ) -> None:
        self.own = own
        self.id = saved.id if saved else 0
        self._store = store
        self._clock = clock
        self._refused = refused
        self._saving = asyncio.Lock()
        self._changed = False
        self._unsaved_ids = 0
        self._refusal: StoreError | None = None
        self._files: dict[str, bytes] = {}

    def touch(self) -> None:
        """The draft, its files or the model changed: `save` has something to do."""
        self._changed = True

    async def save(self) -> None:
        """Write the draft now, where it changed; an empty conversation leaves no trace. StoreError."""
        async with self._saving:
            if not self._changed or not (self.id or not self.own.is_empty):
                return
            self._changed = False
            own = self.own
            try:
                if not self.id:
                    await self._start()
                await self._store.save_draft(self.id, own.model, own.draft, self._clock(), own.attachments)
            except BaseException:  # also where the wait for the disk is cancelled: it may not have begun to write
                self._changed = True
                raise

    async def _start(self) -> None:
        own = self.own
        self.id = await self._store.start(own.model, own.draft, self._clock(), title=own.title)
        if own.settings != ChatSettings():
            await self._store.save_settings(self.id, own.settings)

    async def save_title(self, title: str) -> None:
        self.own.title = title
        if self.id:
            await self._try(self._store.save_title(self.id, title))

    async def save_settings(self, settings: ChatSettings) -> None:
        self.own.settings = settings
        if self.id:
            await self._try(self._store.save_settings(self.id, settings))

    async def save_head(self, head: int | None) -> None:
        if self.id and (head is None or head > 0):
            await self._try(self._store.save_head(self.id, head))

    async def add(
        self,
        role: str,
        content: str,
        *,
        parent_id: int | None,
        status: Status = "done",
        model: str = "",
        attachments: tuple[Attachment, ...] = (),
        tool_name: str = "",
        tool_call_id: str = "",
    ) -> StoredMessage:
        """Write a message down; where the disk refuses, it lives in memory under a negative id."""
        now = self._clock()
        try:
            async with self._saving:
                if not self.id:
                    await self._start()
            if parent_id is not None and parent_id < 0 and self._refusal is not None:
                raise self._refusal  # what it would hang on is not on disk
            message_id = await self._store.add_message(
                self.id,
                role,
                content,
                status=status,
                model=model,
                now=now,
                parent_id=parent_id,
                tool_name=tool_name,
                tool_call_id=tool_call_id,
                attachments=attachments,
            )
        except StoreError as error:
            self._refusal = error
            message_id = self.unsaved_id()
            self._refused(error)
        return StoredMessage(
            message_id,
            role,
            content,
            status,
            model=model,
            created_at=now,
            parent_id=parent_id,
            attachments=attachments,
            tool_name=tool_name,
            tool_call_id=tool_call_id,
        )

    def unsaved_id(self) -> int:
        """An id for a message that is not on disk."""
        self._unsaved_ids -= 1
        return self._unsaved_ids

    async def keep(self, message: StoredMessage) -> None:
        """Write a message as it is now."""
        if message.id > 0:
            await self._try(self._store.save_message(message))

    async def withdraw(self, messages: Iterable[StoredMessage]) -> None:
        await self._try(self._store.withdraw(*(one.id for one in messages if one.id > 0)))

    async def add_file(self, data: bytes) -> str:
        """Keep what is in a file; its digest."""
        try:
            return await self._store.add_file(data)
        except StoreError as error:
            self._refused(error)
            digest = f"unsaved{len(self._files)}"
            self._files[digest] = data
            return digest

    async def files(self, messages: Iterable[StoredMessage]) -> dict[str, bytes]:
        """What is in the files of these messages, by digest."""
        digests = {one.digest for message in messages for one in message.attachments}
        if not digests:
            return {}
        return {**await self._store.files(digests), **self._files}

    async def _try(self, writing: Awaitable[None]) -> None:
        try:
            await writing
        except StoreError as error:
            self._refused(error)
