"""`ChatSession`: one conversation that asks and answers, on any branch of its tree of messages.

Answers run in a task of their own, one after the other; prompts that are sent meanwhile wait. All of it is written
down as it happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ollama_engine.types import ChatRequest
from ollama_tui.chats import Attachment, ChatStore, Conversation, StoredMessage, ToolCall
from ollama_tui.services.chat_request import chat_request
from ollama_tui.services.chat_state import ChatState
from ollama_tui.services.chat_view import ChatView, Reply, pending_calls
from ollama_tui.services.exchange import Exchange, Outcome
from ollama_tui.services.link import EngineLink
from ollama_tui.services.prompt_queue import PromptQueue
from ollama_tui.services.sendable import Sendable, sendable

__all__ = ["ChatSession", "ChatView", "Reply"]

TITLE_LENGTH = 60


@dataclass(frozen=True)
class _Ask:
    """What is to be answered: a new message behind `parent_id`, or where there is no `role` what is there already.

    `waiting` is the message as the queue wrote it down.
    """

    parent_id: int | None
    role: str = ""
    content: str = ""
    attachments: tuple[Attachment, ...] = ()
    call: ToolCall | None = None
    waiting: asyncio.Task[StoredMessage] | None = None


class ChatSession(ChatState):
    def __init__(
        self,
        link: EngineLink,
        store: ChatStore,
        model: str,
        *,
        clock: Callable[[], float],
        saved: Conversation | None = None,
        messages: Iterable[StoredMessage] = (),
    ) -> None:
        super().__init__(store, model, clock=clock, saved=saved, messages=messages)
        self._link = link
        self._clock = clock
        self._queue = PromptQueue(self._record)
        self._writing: set[asyncio.Task[None]] = set()
        self._exchange: Exchange | None = None
        self._answering: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._answering is not None and not self._answering.done()

    # Asking

    def send(self, text: str) -> bool:
        """Ask the model, or wait until it has answered what it was asked before; the draft and its files are sent.

        False where there is nothing to say or nobody to say it to.
        """
        attachments = self._record.own.attachments
        if not (text.strip() or attachments) or not self.view.value.model:
            return False
        if attachments:
            self._use_attachments(())
        if self.busy:
            self._queue.add(text, attachments)
            self._publish(queued=self._queue.shown)
        else:
            self._ask(_Ask(self._head, "user", text, attachments))
        return True

    def resend(self, message_id: int, text: str) -> bool:
        """Say one of the user's messages otherwise, as a branch beside it; False while an answer is written."""
        if self.busy or message_id not in self._tree or not text.strip():
            return False
        before = self._tree[message_id]
        self._ask(_Ask(before.parent_id, before.role, text, before.attachments))
        return True

    def regenerate(self, message_id: int | None = None) -> bool:
        """Answer once more, beside an answer that is there (the last one, where none is named)."""
        if self.busy or not self.view.value.model:
            return False
        message_id = self._head if message_id is None else message_id
        if message_id is None or message_id not in self._tree:
            return False
        message = self._tree[message_id]
        self._ask(_Ask(message.parent_id if message.role == "assistant" else message_id))
        return True

    def give_result(self, text: str) -> bool:
        """The result of the first call that has none; once all have one, the model goes on."""
        calls = self.view.value.pending_calls
        if self.busy or not calls:
            return False
        self._ask(_Ask(self._head, "tool", text, call=calls[0]))
        return True

    def stop(self) -> bool:
        """End the answer; what was written of it stays. False where nothing was running."""
        return self.busy and self._exchange is not None and self._exchange.stop()

    def take_back(self) -> bool:
        """The prompt that waits last goes back into the editor; False where none waits."""
        taken = self._queue.take_back(1)
        if taken:
            self._publish(queued=self._queue.shown)
            self._into_draft(taken, behind=True)
        return bool(taken)

    # Branches

    def walk(self, message_id: int, step: int) -> bool:
        """Show the branch of the sibling before (-1) or after (1) a message; False where there is none."""
        if self.busy or message_id not in self._tree:
            return False
        sibling = self._tree.sibling(message_id, step)
        if sibling is None:
            return False
        self._turn_to(self._tree.leaf(sibling))
        return True

    def show_message(self, message_id: int) -> None:
        """Show a branch that this message is in."""
        if not self.busy and message_id in self._tree and all(one.id != message_id for one in self.view.value.messages):
            self._turn_to(self._tree.leaf(message_id))

    def _turn_to(self, head: int | None) -> None:
        self._head = head
        self._publish_path(reply=None)
        task = asyncio.create_task(self._record.save_head(head), name="head")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    # Answering

    def _ask(self, ask: _Ask) -> None:
        self._exchange = self._new_exchange()
        self._answering = asyncio.create_task(self._answer_all(ask), name="answer")

    def _new_exchange(self) -> Exchange:
        return Exchange(self._link, self._record, lambda reply: self._publish(reply=reply), clock=self._clock)

    async def _answer_all(self, ask: _Ask | None) -> None:
        """This, then the prompts that wait; where an answer fails or is stopped, they go back into the editor."""
        while ask is not None:
            assert self._exchange is not None
            well, unsaid = await self._answer(ask, self._exchange)
            ask = None
            if not well:
                self._into_draft((*unsaid, *self._queue.take_back()), behind=False)
            elif (waiting := self._queue.next()) is not None:
                self._exchange = self._new_exchange()
                ask = _Ask(self._head, waiting=waiting)
            self._publish(queued=self._queue.shown)

    async def _answer(self, ask: _Ask, exchange: Exchange) -> tuple[bool, tuple[StoredMessage, ...]]:
        """Whether the model said all that it had to say, and the prompt where it was never said.

        How it ended is in the messages and in `failure`."""
        self._publish(failure=None)
        head, model = self._head, self.view.value.model
        question = await self._put_question(ask)
        parent = ask.parent_id if question is None else question.id
        path = self._tree.path(parent)
        if ask.role == "tool" and pending_calls(path):
            self._publish_path(reply=None)
            return True, ()
        answer = await self._record.add("assistant", "", parent_id=parent, status="streaming", model=model)
        reply = Reply(answer.id, model, branch=self._tree.place_of_next(parent))
        self._publish(messages=path, reply=reply)

        sent = Sendable(path)

        async def request() -> ChatRequest:
            nonlocal sent
            sent = await sendable(await self._link.engine(), model, path)
            files = await self._record.files(sent.messages)
            return chat_request(model, self.view.value.settings, sent.messages, files)

        outcome = await exchange.run(reply, answer, request)
        unsaid: tuple[StoredMessage, ...] = ()
        if outcome.is_empty:
            unsaid = await self._withdraw(question, outcome, head)
        else:
            answer = outcome.answer
            answer = replace(answer, note="; ".join(note for note in (answer.note, sent.note) if note))
            await self._record.keep(answer)
            self._tree.put(answer)
            self._head = answer.id
            self._publish_path(reply=None)
        if outcome.failure is not None:
            self._fail(outcome.failure)
        return outcome.answer.status == "done", unsaid

    async def _put_question(self, ask: _Ask) -> StoredMessage | None:
        """The new message, written down and at the end of the branch."""
        if ask.waiting is not None:
            question = await self._queue.send(ask.waiting, ask.parent_id)
        elif ask.role:
            name, id_ = (ask.call.name, ask.call.id) if ask.call else ("", "")
            question = await self._record.add(
                ask.role,
                ask.content,
                parent_id=ask.parent_id,
                attachments=ask.attachments,
                tool_name=name,
                tool_call_id=id_,
            )
        else:
            return None
        self._tree.put(question)
        self._head = question.id
        if question.role == "user" and not self._record.own.title and question.content.strip():
            await self.rename(" ".join(question.content.split())[:TITLE_LENGTH])
        return question

    async def _withdraw(
        self, question: StoredMessage | None, outcome: Outcome, head: int | None
    ) -> tuple[StoredMessage, ...]:
        """Not a word came: all is as before. The prompt, which is to go back into the editor."""
        gone = [outcome.answer]
        if question is not None and question.role == "user":
            gone.append(question)
            self._tree.remove(question.id)
            self._head = head
        await self._record.withdraw(gone)
        await self._record.save_head(self._head)
        self._publish_path(reply=None)
        return tuple(gone[1:])

    async def aclose(self) -> None:
        """Stop, and write what is not written yet."""
        self.stop()
        if self._answering is not None:
            await asyncio.gather(self._answering, return_exceptions=True)
        await asyncio.gather(*self._writing, return_exceptions=True)
        await super().aclose()
        await self._queue.settle()
