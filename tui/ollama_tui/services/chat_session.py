"""One conversation: it sends prompts, gathers the answer, and writes both down as they come.

The answer runs in a task of its own. While it streams, a second task publishes a snapshot at most eight times a
second and writes the text to the store once a second, however fast or slow the tokens are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from ollama_engine.errors import EngineError, StoreError
from ollama_engine.types import ChatChunk, ChatRequest, Message
from ollama_tui.chats import Attachment, ChatStore, Conversation, Status, StoredMessage, Timings, ToolCall
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink

PUBLISH_SECONDS = 0.125
SAVE_SECONDS = 1.0
TITLE_LENGTH = 60


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
    """How full the context was with the last answer, tokens; `total` is 0 where it is not known."""

    used: int = 0
    total: int = 0


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


class ChatSession:
    def __init__(
        self,
        link: EngineLink,
        store: ChatStore,
        model: str,
        *,
        clock: Callable[[], float],
        saved: Conversation | None = None,
        messages: tuple[StoredMessage, ...] = (),
    ) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._id = saved.id if saved else 0
        self._titled = bool(saved and saved.title)
        self._draft = saved.draft if saved else ""
        self._unsaved = False
        self._saving = asyncio.Lock()
        self._draft_saver: asyncio.Task[None] | None = None
        self._exchange: _Exchange | None = None
        self._answering: asyncio.Task[None] | None = None
        self._unsaved_ids = 0
        self.view = Latest(ChatView(model, messages, draft=self._draft))

    @property
    def id(self) -> int:
        """The conversation's id in the store; 0 while nothing was written."""
        return self._id

    @property
    def busy(self) -> bool:
        return self._answering is not None and not self._answering.done()

    def use_model(self, model: str) -> None:
        if model != self.view.value.model:
            self._publish(model=model)
            self._touch_draft()

    def edit_draft(self, text: str) -> None:
        """The editor's text changed: it is written within a second."""
        if text != self._draft:
            self._draft = text
            self._touch_draft()

    def _touch_draft(self) -> None:
        self._unsaved = True
        if self._draft_saver is None or self._draft_saver.done():
            self._draft_saver = asyncio.create_task(self._save_draft_soon(), name="draft")

    async def _save_draft_soon(self) -> None:
        await asyncio.sleep(SAVE_SECONDS / 2)
        try:
            await self.save_draft()
        except StoreError as error:
            self._fail(error)

    async def save_draft(self) -> None:
        """Write the draft now, where it changed; an empty conversation leaves no trace. StoreError."""
        async with self._saving:
            if not self._unsaved or not (self._id or self._draft):
                return
            self._unsaved = False
            try:
                if self._id:
                    await self._store.save_draft(self._id, self.view.value.model, self._draft, self._clock())
                else:
                    self._id = await self._store.start(self.view.value.model, self._draft, self._clock())
            except BaseException:  # also where the wait for the disk is cancelled: it may not have begun to write
                self._unsaved = True
                raise

    def send(self, text: str) -> bool:
        """Ask the model; False while it still answers, or where there is nothing to say or nobody to say it to."""
        if self.busy or not text.strip() or not self.view.value.model:
            return False
        self._exchange = _Exchange(self, text)
        self._answering = asyncio.create_task(self._exchange.run(), name="answer")
        return True

    def stop(self) -> bool:
        """End the answer; what was written of it stays. False where nothing was running."""
        return self.busy and self._exchange is not None and self._exchange.stop()

    async def aclose(self) -> None:
        """Stop, and write what is not written yet; what cannot be written stays in memory and is reported there."""
        self.stop()
        if self._answering is not None:
            await asyncio.gather(self._answering, return_exceptions=True)
        if self._draft_saver is not None:
            self._draft_saver.cancel()
            await asyncio.gather(self._draft_saver, return_exceptions=True)
        try:
            await self.save_draft()
        except StoreError as error:
            self._fail(error)

    def _publish(self, **changes: object) -> None:
        self.view.publish(replace(self.view.value, **changes))

    def _fail(self, error: EngineError) -> None:
        before = self.view.value.failure
        self._publish(failure=Failure(error, before.serial + 1 if before else 1))

    async def _add(self, role: str, content: str, status: Status, model: str) -> StoredMessage:
        """Write a message down; where the disk refuses, it lives in memory under a negative id."""
        now = self._clock()
        try:
            async with self._saving:
                if not self._id:
                    self._id = await self._store.start(self.view.value.model, self._draft, now)
            message_id = await self._store.add_message(self._id, role, content, status=status, model=model, now=now)
        except StoreError as error:
            self._unsaved_ids -= 1
            message_id = self._unsaved_ids
            self._fail(error)
        return StoredMessage(message_id, role, content, status, model=model, created_at=now)

    async def _keep(self, message: StoredMessage) -> None:
        if message.id < 0:
            return
        try:
            await self._store.save_message(message)
        except StoreError as error:
            self._fail(error)


class _Exchange:
    """One prompt and its answer."""

    def __init__(self, session: ChatSession, prompt: str) -> None:
        self._session = session
        self._prompt = prompt
        self._model = session.view.value.model
        self._started = session._clock()
        self._text = ""
        self._thinking = ""
        self._new_text: list[str] = []
        self._new_thinking: list[str] = []
        self._timings = Timings()
        self._first_at = 0.0
        self._note = ""
        self._status: Status = "done"
        self._first = asyncio.Event()
        self._streaming: asyncio.Task[None] | None = None
        self._stopped = False

    def stop(self) -> bool:
        """Cancel the stream alone: what follows it, keeping the text, is never cancelled."""
        first, self._stopped = not self._stopped, True
        if self._streaming is not None:
            self._streaming.cancel()
        return first

    async def run(self) -> None:
        """Never raises: how it ended is in the messages and in `failure`."""
        session = self._session
        session._publish(failure=None)
        question = await session._add("user", self._prompt, "done", "")
        await self._title(session)
        answer = await session._add("assistant", "", "streaming", self._model)
        history = (*session.view.value.messages, question)
        session._publish(messages=history, reply=Reply(answer.id, self._model))
        ticking = asyncio.create_task(self._tick(answer), name="answer-ticker")
        if not self._stopped:
            self._streaming = asyncio.create_task(self._stream(history), name="answer-stream")
            await asyncio.wait({self._streaming})
        failure = self._outcome()
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        self._gather()
        await self._finish(question, answer, failure)

    def _outcome(self) -> EngineError | None:
        """How the stream ended: None where it was done or stopped."""
        if self._streaming is None or self._streaming.cancelled():
            self._status, self._note = "stopped", "stopped"
            return None
        error = self._streaming.exception()
        if error is None or isinstance(error, EngineError):
            if error is not None:
                self._session._link.heard(error)
            return error
        return EngineError(f"the engine failed: {error!r}", hint="This is a fault of the program; please report it.")

    async def _title(self, session: ChatSession) -> None:
        if session._titled or not session._id:
            return
        session._titled = True
        try:
            await session._store.save_title(session._id, " ".join(self._prompt.split())[:TITLE_LENGTH])
        except StoreError as error:
            session._fail(error)

    async def _stream(self, history: tuple[StoredMessage, ...]) -> None:
        said = [Message(message.role, message.content) for message in history if message.content]
        engine = await self._session._link.engine()
        stream = engine.chat(ChatRequest(self._model, said, stream=True))
        async with aclosing(cast("AsyncGenerator[ChatChunk, None]", stream)) as chunks:
            async for chunk in chunks:
                self._take(chunk)

    def _take(self, chunk: ChatChunk) -> None:
        piece, thought = chunk.message.content, chunk.message.thinking
        if (piece or thought) and not self._first.is_set():
            waited = self._session._clock() - self._started
            self._timings = replace(self._timings, first_token_ns=int(waited * 1e9))
            self._first_at = self._session._clock()
            self._first.set()
        elif piece or thought:
            # Until the engine's own counts come with the end; they stand for an answer that is stopped.
            passed = self._session._clock() - self._first_at
            self._timings = replace(
                self._timings, tokens=self._timings.tokens + chunk.tokens, tokens_ns=int(passed * 1e9)
            )
        if piece:
            self._new_text.append(piece)
        if thought:
            self._new_thinking.append(thought)
        if chunk.done:
            self._timings = replace(
                self._timings,
                prompt_tokens=chunk.prompt_eval_count,
                prompt_ns=chunk.prompt_eval_duration,
                tokens=chunk.eval_count,
                tokens_ns=chunk.eval_duration,
                load_ns=chunk.load_duration,
            )
            self._note = _note_of(chunk)

    async def _tick(self, answer: StoredMessage) -> None:
        """Publish the first piece at once, then at most eight times a second; write once a second."""
        await self._first.wait()
        saved_at = time.monotonic() - SAVE_SECONDS
        while True:
            if self._gather():
                reply = Reply(answer.id, self._model, self._text, self._thinking, "streaming", self._timings)
                self._session._publish(reply=reply)
            if time.monotonic() - saved_at >= SAVE_SECONDS:
                saved_at = time.monotonic()
                await self._session._keep(replace(answer, content=self._text, thinking=self._thinking))
            await asyncio.sleep(PUBLISH_SECONDS)

    def _gather(self) -> bool:
        """Join what has arrived; whether anything had."""
        if not (self._new_text or self._new_thinking):
            return False
        self._text += "".join(self._new_text)
        self._thinking += "".join(self._new_thinking)
        self._new_text.clear()
        self._new_thinking.clear()
        return True

    async def _finish(self, question: StoredMessage, answer: StoredMessage, failure: EngineError | None) -> None:
        if not (self._text or self._thinking) and (failure is not None or self._status == "stopped"):
            await self._take_back(question, answer, failure)
            return
        if failure is not None:
            self._status, self._note = "failed", failure.message
        message = replace(
            answer,
            content=self._text,
            thinking=self._thinking,
            status=self._status,
            note=self._note,
            timings=self._timings,
        )
        await self._session._keep(message)
        self._session._publish(messages=(*self._session.view.value.messages, message), reply=None)
        if failure is not None:
            self._session._fail(failure)

    async def _take_back(self, question: StoredMessage, answer: StoredMessage, failure: EngineError | None) -> None:
        """Not a word came: the prompt goes back into the editor, before what was typed since."""
        session = self._session
        try:
            await session._store.withdraw(*(one.id for one in (question, answer) if one.id > 0))
        except StoreError as error:
            failure = failure or error
        session._draft = "\n\n".join(text for text in (self._prompt, session._draft) if text.strip())
        view = session.view.value
        session._publish(
            messages=tuple(message for message in view.messages if message.id != question.id),
            reply=None,
            draft=session._draft,
            draft_serial=view.draft_serial + 1,
        )
        session._touch_draft()
        if failure is not None:
            session._fail(failure)


WHY_IT_ENDED = {
    "length": "cut off: the context or the token limit is full",
    "repetition": "stopped: the model said the same again and again",
    "canceled": "canceled at the server",
}
"""What an answer that did not end by itself is told to have ended for."""


def _note_of(chunk: ChatChunk) -> str:
    """What the reader of an answer should know about it: that it was cut off, or made without all that was said."""
    notes = [WHY_IT_ENDED[chunk.done_reason]] if chunk.done_reason in WHY_IT_ENDED else []
    if chunk.dropped_messages:
        count = "1 message" if chunk.dropped_messages == 1 else f"{chunk.dropped_messages} messages"
        notes.append(f"the oldest {count} did not fit the context")
    if chunk.truncated_tokens:
        notes.append(f"{chunk.truncated_tokens} tokens were cut out of the prompt to fit the context")
    return "; ".join(notes)
