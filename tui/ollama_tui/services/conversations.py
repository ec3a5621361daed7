"""The conversations: which one is shown, and the ones that go on answering behind it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import count

from ollama_engine.errors import EngineError, StoreError
from ollama_engine.types import CreateRequest, ModelInfo
from ollama_tui.chats import ChatSettings, ChatStore, Conversation, Found
from ollama_tui.services.chat_request import chat_request
from ollama_tui.services.chat_session import ChatSession
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink


@dataclass(frozen=True)
class Marks:
    """What the list of conversations follows: `busy` ones by id; a new `serial` where anything in the list changed.

    `answered` is the title of the conversation that got its answer last, behind the one that is shown.
    """

    busy: frozenset[int] = frozenset()
    serial: int = 0
    answered: str = ""
    answered_serial: int = 0


def forked(title: str, taken: Iterable[str]) -> str:
    """The name of a conversation that goes on from another: `Kings (2)`."""
    known = set(taken)
    title = re.sub(r" \(\d+\)$", "", title)
    return next(name for number in count(2) if (name := f"{title} ({number})") not in known)


class ChatService:
    """`shown` is the session that the Chat pane draws. Sessions answer in tasks of their own, whoever looks.

    It begins with a new conversation: with `model` where that is given, else until the last one is restored.
    """

    def __init__(
        self, link: EngineLink, store: ChatStore, *, clock: Callable[[], float], model: str | None = None
    ) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._sessions: dict[ChatSession, asyncio.Task[None]] = {}
        self._restored: asyncio.Task[EngineError | None] | None = None
        self.marks = Latest(Marks())
        self._begun = model is not None
        self.shown = Latest(self._fresh(model or ""))

    async def restore(self) -> EngineError | None:
        """Show the conversation that was last touched, once, unless one was begun; the error that stands in its way."""
        if self._restored is None:
            self._restored = asyncio.create_task(self._restore())
        return await asyncio.shield(self._restored)

    async def _restore(self) -> EngineError | None:
        try:
            self._follow(self.shown.value)
            last = None if self._begun else await self._store.latest()
            if last is not None:
                await self._show_saved(last)
            await self._store.purge(self._clock())
        except StoreError as error:
            return error
        return None

    # The list

    async def conversations(self) -> list[Conversation]:
        """All saved ones, last touched first; StoreError."""
        await self.shown.value.save_draft()
        return await self._store.conversations()

    async def search(self, words: str) -> list[Found]:
        """Messages of all conversations that hold these words, the best first; StoreError."""
        return await self._store.search(words)

    async def prompts(self, limit: int = 500) -> list[str]:
        """What the user sent, in all conversations, the oldest first; StoreError."""
        return await self._store.prompts(limit)

    async def rename(self, conversation_id: int, title: str) -> None:
        """Give a conversation a name; StoreError."""
        session = self._session(conversation_id)
        if session is not None:
            await session.rename(title)
        else:
            await self._store.save_title(conversation_id, title)
        self._mark()

    async def delete(self, conversation_id: int) -> None:
        """Take a conversation out of the list; an answer under way is stopped, and `undelete` brings it all back."""
        session = self._session(conversation_id)
        if session is not None:
            await session.aclose()
        await self._store.delete(conversation_id, self._clock())
        if session is not None and session is self.shown.value:
            await self._turn_to(self._fresh(session.view.value.model))
        self._mark()

    async def undelete(self) -> Conversation | None:
        """Bring back the conversation that was deleted last; None where there is none. StoreError."""
        found = await self._store.undelete()
        self._mark()
        return found

    async def export(self, conversation_id: int, *, markdown: bool) -> bytes:
        """A conversation as a file, in Markdown or JSON; StoreError."""
        return await self._store.export(conversation_id, markdown=markdown)

    async def add_exported(self, data: bytes) -> None:
        """Show a conversation out of a file that was exported as JSON; InvalidRequest, StoreError."""
        await self.show(await self._store.add_document(data, self._clock()))
        self._mark()

    async def fork(self, message_id: int) -> None:
        """Go on from a message of the conversation shown in a new one; StoreError."""
        session = self.shown.value
        conversation = await self._store.conversation(session.id)
        path = session.view.value.messages
        ids = [message.id for message in path]
        if conversation is None or message_id not in ids:
            raise StoreError("there is nothing on disk to go on from", hint="Send a prompt first.")
        path = path[: ids.index(message_id) + 1]
        title = forked(conversation.title, [one.title for one in await self._store.conversations()])
        conversation = replace(
            conversation, title=title, model=session.view.value.model, settings=session.view.value.settings
        )
        await self.show(await self._store.copy_branch(conversation, path, self._clock()))
        self._mark()

    async def model_info(self, model: str) -> ModelInfo:
        """What a model is; EngineError."""
        return await (await self._link.engine()).show(model)

    async def save_as_model(self, name: str) -> None:
        """A model that goes on from the conversation shown: its system prompt, options and messages; EngineError."""
        view = self.shown.value.view.value
        request = CreateRequest(
            model=name,
            from_=view.model,
            system=view.settings.system,
            template=view.settings.template,
            parameters=dict(view.settings.options) or None,
            messages=chat_request(view.model, ChatSettings(), view.messages, {}).messages or None,
        )
        async with aclosing((await self._link.engine()).create(request)) as steps:
            async for _ in steps:
                pass

    # Which one is shown

    async def show(self, conversation_id: int, message_id: int | None = None) -> None:
        """Show a saved conversation, on a branch that has `message_id`; StoreError."""
        session = self._session(conversation_id)
        if session is not None:
            await self._turn_to(session)
        else:
            conversation = await self._store.conversation(conversation_id)
            if conversation is None:
                raise StoreError(f"conversation {conversation_id} is gone", hint="Choose another one.")
            await self._show_saved(conversation)
        if message_id is not None:
            self.shown.value.show_message(message_id)

    async def _show_saved(self, conversation: Conversation) -> None:
        messages = await self._store.messages(conversation.id)
        session = ChatSession(
            self._link, self._store, conversation.model, clock=self._clock, saved=conversation, messages=messages
        )
        await self._turn_to(session)

    async def new(self, model: str) -> None:
        """Begin a conversation; the one shown before goes on."""
        await self._turn_to(self._fresh(model))

    async def _turn_to(self, session: ChatSession) -> None:
        await self.shown.value.save_draft()
        self.shown.publish(session)
        if session.id:
            await self._store.save_unread(session.id, False)
        for one in [one for one in self._sessions if one is not session and not one.busy]:
            self._sessions.pop(one).cancel()
        self._follow(session)
        self._mark()

    def _follow(self, session: ChatSession) -> None:
        if session not in self._sessions:
            self._sessions[session] = asyncio.create_task(self._watch(session), name="conversation-watch")

    def _fresh(self, model: str) -> ChatSession:
        return ChatSession(self._link, self._store, model, clock=self._clock)

    def _session(self, conversation_id: int) -> ChatSession | None:
        return next((one for one in self._all() if one.id == conversation_id), None)

    def _all(self) -> list[ChatSession]:
        return list({self.shown.value: None, **dict.fromkeys(self._sessions)})

    # Marks

    async def _watch(self, session: ChatSession) -> None:
        """Tell the list when a conversation begins or ends to answer, and mark answers that nobody has seen."""
        before = ""
        was_answering = False
        async for view in session.view.watch():
            answering = view.reply is not None
            if was_answering and not answering and session is not self.shown.value:
                await self._mark_unread(session)
            if answering != was_answering or view.title != before:
                self._mark()
            was_answering, before = answering, view.title

    async def _mark_unread(self, session: ChatSession) -> None:
        try:
            await self._store.save_unread(session.id, True)
        except StoreError:
            return  # the session itself tells that the disk refuses
        marks = self.marks.value
        title = session.view.value.title
        self.marks.publish(replace(marks, answered=title, answered_serial=marks.answered_serial + 1))

    def _mark(self) -> None:
        busy = frozenset(one.id for one in self._all() if one.view.value.reply is not None)
        self.marks.publish(replace(self.marks.value, busy=busy, serial=self.marks.value.serial + 1))

    async def aclose(self) -> None:
        """Stop all answers, keep what they said and what was being typed."""
        sessions = self._all()
        for watching in self._sessions.values():
            watching.cancel()
        await asyncio.gather(*(session.aclose() for session in sessions))
