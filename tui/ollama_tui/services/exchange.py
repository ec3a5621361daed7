"""One request and its answer: gathered as it comes, published, and written down within a second.

The stream runs in a task of its own, so that stopping it stops nothing else. A second task publishes a snapshot at
most eight times a second, however fast or slow the tokens are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import cast

from ollama_engine.errors import EngineError
from ollama_engine.types import ChatChunk, ChatRequest
from ollama_tui.chats import Status, StoredMessage, Timings, ToolCall
from ollama_tui.services.chat_record import ChatRecord
from ollama_tui.services.chat_request import stored_calls
from ollama_tui.services.chat_view import Reply
from ollama_tui.services.link import EngineLink

PUBLISH_SECONDS = 0.125
SAVE_SECONDS = 0.75
"""With the pause before it is looked at, and the time that writing takes, what is shown is on disk within a second."""
CONTEXT_SECONDS = 0.5
"""How long the end of an answer waits to learn how large the model's context is."""


@dataclass(frozen=True)
class Outcome:
    """The answer as far as it came, and why it came no further. `failure` is None for one that was stopped."""

    answer: StoredMessage
    failure: EngineError | None

    @property
    def is_empty(self) -> bool:
        """Not a word came, and it was not the model that had nothing to say."""
        said = self.answer.content or self.answer.thinking or self.answer.tool_calls
        return not said and self.answer.status != "done"


class Exchange:
    """Made when the user asks, so that `stop` works from then on; `run` once there is a place for the answer."""

    def __init__(
        self, link: EngineLink, record: ChatRecord, publish: Callable[[Reply], None], *, clock: Callable[[], float]
    ) -> None:
        self._link = link
        self._record = record
        self._publish = publish
        self._clock = clock
        self._started = clock()
        self._text = ""
        self._thinking = ""
        self._calls: tuple[ToolCall, ...] = ()
        self._new_text: list[str] = []
        self._new_thinking: list[str] = []
        self._has_new_calls = False
        self._timings = Timings()
        self._first_at = 0.0
        self._thought_since = 0.0
        self._last: ChatChunk | None = None
        self._context_total = 0
        self._prompt_tokens = 0
        self._first = asyncio.Event()
        self._streaming: asyncio.Task[None] | None = None
        self._stopped = False

    def stop(self) -> bool:
        """Cancel the stream alone: what follows it, keeping the text, is never cancelled."""
        first, self._stopped = not self._stopped, True
        if self._streaming is not None:
            self._streaming.cancel()
        return first

    async def run(self, reply: Reply, answer: StoredMessage, request: Callable[[], Awaitable[ChatRequest]]) -> Outcome:
        """Never raises. `reply` is how the answer is shown before its first word."""
        ticking = asyncio.create_task(self._tick(reply, answer), name="answer-ticker")
        measuring = asyncio.create_task(self._measure_context(answer.model), name="answer-context")
        if not self._stopped:
            self._streaming = asyncio.create_task(self._stream(request), name="answer-stream")
            await asyncio.wait({self._streaming})
        status, failure = self._outcome()
        ticking.cancel()
        if self._first.is_set():
            await asyncio.wait({measuring}, timeout=CONTEXT_SECONDS)
        measuring.cancel()
        await asyncio.gather(ticking, measuring, return_exceptions=True)
        self._gather()
        if not self._timings.prompt_tokens:
            self._timings = replace(self._timings, prompt_tokens=self._prompt_tokens)
        note = "stopped" if status == "stopped" else failure.message if failure else _note_of(self._last)
        whole = replace(
            self._so_far(answer),
            status=status,
            note=note,
            dropped_messages=self._last.dropped_messages if self._last else 0,
            cut_tokens=self._last.truncated_tokens if self._last else 0,
        )
        return Outcome(whole, failure)

    def _outcome(self) -> tuple[Status, EngineError | None]:
        """How the stream ended."""
        if self._streaming is None or self._streaming.cancelled():
            return "stopped", None
        error = self._streaming.exception()
        if error is None:
            return "done", None
        if isinstance(error, EngineError):
            self._link.heard(error)
            return "failed", error
        return "failed", EngineError(
            f"the engine failed: {error!r}", hint="This is a fault of the program; please report it."
        )

    async def _stream(self, request: Callable[[], Awaitable[ChatRequest]]) -> None:
        engine = await self._link.engine()
        stream = engine.chat(await request())
        async with aclosing(cast("AsyncGenerator[ChatChunk, None]", stream)) as chunks:
            async for chunk in chunks:
                self._take(chunk)

    def _take(self, chunk: ChatChunk) -> None:
        piece, thought, calls = chunk.message.content, chunk.message.thinking, chunk.message.tool_calls
        if piece or thought or calls:
            self._count(chunk)
        if thought:
            self._new_thinking.append(thought)
        if piece:
            self._new_text.append(piece)
        if calls:
            self._calls += stored_calls(calls)
            self._has_new_calls = True
        if chunk.done:
            self._last = chunk
            self._timings = replace(
                self._timings,
                prompt_tokens=chunk.prompt_eval_count,
                prompt_ns=chunk.prompt_eval_duration,
                tokens=chunk.eval_count,
                tokens_ns=chunk.eval_duration,
                load_ns=chunk.load_duration,
            )

    def _count(self, chunk: ChatChunk) -> None:
        """Until the engine's own counts come with the end: they stand for an answer that is stopped."""
        now = self._clock()
        if not self._first.is_set():
            self._timings = replace(self._timings, first_token_ns=int((now - self._started) * 1e9))
            self._first_at = now
            self._first.set()
        else:
            tokens, passed = self._timings.tokens + chunk.tokens, now - self._first_at
            self._timings = replace(self._timings, tokens=tokens, tokens_ns=int(passed * 1e9))
        if chunk.message.thinking and not self._thought_since:
            self._thought_since = now
        if self._thought_since and not (self._text or self._new_text or self._calls):
            self._timings = replace(self._timings, thinking_ns=int((now - self._thought_since) * 1e9))

    async def _tick(self, reply: Reply, answer: StoredMessage) -> None:
        """Publish the first piece at once, then at most eight times a second; write what is shown within a second."""
        await self._first.wait()
        saved_at = time.monotonic() - SAVE_SECONDS
        while True:
            if self._gather():
                self._publish(
                    replace(
                        reply,
                        text=self._text,
                        thinking=self._thinking,
                        phase="streaming",
                        timings=self._timings,
                        tool_calls=self._calls,
                    )
                )
            if time.monotonic() - saved_at >= SAVE_SECONDS:
                saved_at = time.monotonic()
                await self._record.keep(self._so_far(answer))
            await asyncio.sleep(PUBLISH_SECONDS)

    def _so_far(self, answer: StoredMessage) -> StoredMessage:
        return replace(
            answer,
            content=self._text,
            thinking=self._thinking,
            tool_calls=self._calls,
            timings=self._timings,
            context_total=self._context_total,
        )

    def _gather(self) -> bool:
        """Join what has arrived; whether anything had."""
        if not (self._new_text or self._new_thinking or self._has_new_calls):
            return False
        self._text += "".join(self._new_text)
        self._thinking += "".join(self._new_thinking)
        self._new_text.clear()
        self._new_thinking.clear()
        self._has_new_calls = False
        return True

    async def _measure_context(self, model: str) -> None:
        """How many tokens the model has room for, once it is in memory, and how many the prompt took, where that is
        known before the end: an answer that is stopped has no other count of them."""
        await self._first.wait()
        try:
            running = await (await self._link.engine()).running()
        except EngineError:
            return  # the answer counts, not how full its context is
        names = (model, f"{model}:latest")
        self._context_total = next((one.context_length for one in running if one.name in names), 0)
        with suppress(EngineError):  # Ollama's server does not tell
            requests = await (await self._link.engine()).requests()
            ours = [one.prompt_tokens for one in requests if one.kind == "chat" and one.model in names]
            self._prompt_tokens = ours[0] if len(ours) == 1 else 0


WHY_IT_ENDED = {
    "length": "cut off: the context or the token limit is full",
    "repetition": "stopped: the model said the same again and again",
    "canceled": "canceled at the server",
}
"""What an answer that did not end by itself is told to have ended for."""


def _note_of(chunk: ChatChunk | None) -> str:
    """What the reader of an answer should know about it: that it was cut off, or made without all that was said."""
    if chunk is None:
        return ""
    notes = [WHY_IT_ENDED[chunk.done_reason]] if chunk.done_reason in WHY_IT_ENDED else []
    if chunk.dropped_messages:
        count = "1 message" if chunk.dropped_messages == 1 else f"{chunk.dropped_messages} messages"
        notes.append(f"the oldest {count} did not fit the context")
    if chunk.truncated_tokens:
        notes.append(f"{chunk.truncated_tokens} tokens were cut out of the prompt to fit the context")
    return "; ".join(notes)
