"""`ChatState`: a conversation at rest: the branch that is shown, the draft, and how answers are to be made.

`ChatSession` asks and answers on top of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from ollama_engine.errors import EngineError, StoreError
from ollama_tui.chats import Attachment, ChatSettings, ChatStore, Conversation, MessageTree, StoredMessage
from ollama_tui.services.chat_record import ChatRecord, Unsaved
from ollama_tui.services.chat_view import ChatView, Failure, context_use
from ollama_tui.services.latest import Latest

DRAFT_SECONDS = 0.5


class ChatState:
    """`view` is the conversation now. Nothing here raises but `save_draft`: what the disk refuses is in `failure`."""

    def __init__(
        self,
        store: ChatStore,
        model: str,
        *,
        clock: Callable[[], float],
        saved: Conversation | None = None,
        messages: Iterable[StoredMessage] = (),
    ) -> None:
        own = Unsaved(model)
        if saved is not None:
            own = Unsaved(model, saved.draft, saved.title, saved.attachments, saved.settings)
        self._record = ChatRecord(store, own, saved=saved, clock=clock, refused=self._fail)
        messages = tuple(messages)
        self._tree = MessageTree(one for one in messages if one.status != "queued")
        self._head = saved.head_id if saved else None
        self._draft_saver: asyncio.Task[None] | None = None
        self._not_sent = tuple(one for one in messages if one.status == "queued")
        path = self._tree.path(self._head)
        self.view = Latest(
            ChatView(
                model,
                path,
                draft=own.draft,
                attachments=own.attachments,
                context=context_use(path),
                settings=own.settings,
                title=own.title,
            )
        )
        if self._not_sent:  # by a workstation that was killed
            self._into_draft(self._not_sent, behind=True)

    @property
    def id(self) -> int:
        """The conversation's id in the store; 0 while nothing was written."""
        return self._record.id

    # The draft

    @property
    def draft(self) -> str:
        """What stands in the editor."""
        return self._record.own.draft

    def use_model(self, model: str) -> None:
        if model != self.view.value.model:
            self._record.own.model = model
            self._publish(model=model)
            self._touch_draft()

    def edit_draft(self, text: str) -> None:
        """The editor's text changed: it is written within a second."""
        if text != self._record.own.draft:
            self._record.own.draft = text
            self._touch_draft()

    def replace_draft(self, text: str) -> None:
        """The editor shall hold this text."""
        self._record.own.draft = text
        self._publish(draft=text, draft_serial=self.view.value.draft_serial + 1)
        self._touch_draft()

    async def attach(self, attachment: Attachment, data: bytes) -> None:
        """A file goes along with the next prompt."""
        digest = await self._record.add_file(data)
        self._use_attachments((*self._record.own.attachments, replace(attachment, digest=digest)))

    def detach(self) -> bool:
        """The file attached last does not go along after all; False where there is none."""
        attachments = self._record.own.attachments
        self._use_attachments(attachments[:-1])
        return bool(attachments)

    def _use_attachments(self, attachments: tuple[Attachment, ...]) -> None:
        self._record.own.attachments = attachments
        self._publish(attachments=attachments)
        self._touch_draft()

    # How answers are made, and the name

    async def change_settings(self, settings: ChatSettings) -> None:
        """From the next answer on."""
        self._publish(settings=settings)
        await self._record.save_settings(settings)

    async def rename(self, title: str) -> None:
        self._publish(title=title)
        await self._record.save_title(title)

    # Keeping the draft

    def _touch_draft(self) -> None:
        self._record.touch()
        if self._draft_saver is None or self._draft_saver.done():
            self._draft_saver = asyncio.create_task(self._save_draft_soon(), name="draft")

    async def _save_draft_soon(self) -> None:
        await asyncio.sleep(DRAFT_SECONDS)
        try:
            await self.save_draft()
        except StoreError as error:
            self._fail(error)

    async def save_draft(self) -> None:
        """Write the draft now, where it changed; an empty conversation leaves no trace. StoreError."""
        await self._record.save()
        if self._not_sent and self.id:
            not_sent, self._not_sent = self._not_sent, ()
            await self._record.withdraw(not_sent)

    def _into_draft(self, messages: tuple[StoredMessage, ...], *, behind: bool) -> None:
        """What was to be said goes back into the editor, before or behind what is typed there."""
        if not messages:
            return
        own = self._record.own
        texts = [message.content for message in messages]
        texts = [own.draft, *texts] if behind else [*texts, own.draft]
        files = tuple(one for message in messages for one in message.attachments)
        if files:
            self._use_attachments((*files, *own.attachments))
        self.replace_draft("\n\n".join(text for text in texts if text.strip()))

    # Publishing

    def _publish(self, **changes: object) -> None:
        self.view.publish(replace(self.view.value, **changes))

    def _publish_path(self, **changes: object) -> None:
        path = self._tree.path(self._head)
        self._publish(messages=path, context=context_use(path), **changes)

    def _fail(self, error: EngineError) -> None:
        before = self.view.value.failure
        self._publish(failure=Failure(error, before.serial + 1 if before else 1))

    async def aclose(self) -> None:
        """Write what is not written yet; what cannot be written stays in memory and is reported there."""
        if self._draft_saver is not None:
            self._draft_saver.cancel()
            await asyncio.gather(self._draft_saver, return_exceptions=True)
        try:
            await self.save_draft()
        except StoreError as error:
            self._fail(error)
