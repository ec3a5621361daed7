"""The conversations: which one is shown, and the ones that go on answering behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ollama_engine.errors import EngineError, StoreError
from ollama_tui.chats import ChatStore, Conversation
from ollama_tui.services.chat_session import ChatSession
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink


class ChatService:
    """`shown` is the session that the Chat pane draws. Sessions answer in tasks of their own, whoever looks."""

    def __init__(self, link: EngineLink, store: ChatStore, *, clock: Callable[[], float]) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._sessions: dict[int, ChatSession] = {}
        self._restored: asyncio.Task[EngineError | None] | None = None
        self.shown = Latest(self._fresh(""))

    async def restore(self) -> EngineError | None:
        """Show the conversation that was last touched, once; the error that stands in its way."""
        if self._restored is None:
            self._restored = asyncio.create_task(self._restore())
        return await asyncio.shield(self._restored)

    async def _restore(self) -> EngineError | None:
        try:
            last = await self._store.latest()
            if last is not None:
                await self._show_saved(last)
        except StoreError as error:
            return error
        return None

    async def conversations(self) -> list[Conversation]:
        """All saved ones, last touched first; StoreError."""
        await self.shown.value.save_draft()
        return await self._store.conversations()

    async def show(self, conversation_id: int) -> None:
        """Show a saved conversation; StoreError."""
        session = next((one for one in self._all() if one.id == conversation_id), None)
        if session is not None:
            await self._turn_to(session)
            return
        conversation = await self._store.conversation(conversation_id)
        if conversation is None:
            raise StoreError(f"conversation {conversation_id} is gone", hint="Choose another one.")
        await self._show_saved(conversation)

    async def _show_saved(self, conversation: Conversation) -> None:
        messages = tuple(await self._store.messages(conversation.id))
        session = ChatSession(
            self._link, self._store, conversation.model, clock=self._clock, saved=conversation, messages=messages
        )
        await self._turn_to(session)

    async def new(self, model: str) -> None:
        """Begin a conversation; the one shown before goes on."""
        await self._turn_to(self._fresh(model))

    async def _turn_to(self, session: ChatSession) -> None:
        before = self.shown.value
        await before.save_draft()
        self._sessions = {id(one): one for one in (*self._all(), session) if one.busy or one is session}
        self.shown.publish(session)

    def _fresh(self, model: str) -> ChatSession:
        return ChatSession(self._link, self._store, model, clock=self._clock)

    def _all(self) -> list[ChatSession]:
        known = {id(self.shown.value): self.shown.value, **self._sessions}
        return list(known.values())

    async def aclose(self) -> None:
        """Stop all answers, keep what they said and what was being typed."""
        await asyncio.gather(*(session.aclose() for session in self._all()))
