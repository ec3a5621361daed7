"""Answers that come in pieces: sent while they are made, or as one object at the end (spec §0).

How pieces are written is a `Wire`'s business: Ollama's own lines of JSON here, the events of the other dialects in
theirs. The async generator behind an answer is the work itself. It is closed, which cancels the work, as soon as the
client has gone, when the server may wait no longer, and when the answer is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ollama_engine.errors import Busy, EngineError, RequestCanceled
from ollama_engine.server.drain import SHUTTING_DOWN
from ollama_engine.server.encode import NDJSON_TYPE, encode, json_response
from ollama_engine.server.errors import discreet, error_object, unexpected
from ollama_engine.types import Progress

T = TypeVar("T")
P_contra = TypeVar("P_contra", contravariant=True)


class Wire(Protocol[P_contra]):
    """How the pieces of one answer are written; it may remember what it has written."""

    content_type: str
    beat: bytes
    """What is sent while the next piece is long in coming, so that nobody takes the connection for dead; or nothing."""

    def piece(self, piece: P_contra, /) -> bytes: ...

    def end(self) -> bytes:
        """What comes after the last piece."""
        ...

    def failure(self, error: EngineError) -> bytes:
        """What ends an answer that has begun and cannot go on."""
        ...


class Lines:
    """Ollama's wire: a JSON object a line."""

    content_type = NDJSON_TYPE
    beat = b""

    def piece(self, piece: Any) -> bytes:
        return encode(piece) + b"\n"

    def end(self) -> bytes:
        return b""

    def failure(self, error: EngineError) -> bytes:
        return self.piece(error_object(error))


BEAT_SECONDS = 10.0


class StreamedAnswer(Response, Generic[T]):
    """Sends what `pieces` yields.

    Args:
        pieces: the work; an error before its first piece reaches the client with its own status, a later one as the
            wire has it.
        stream: each piece as it comes, else one object.
        merge: makes that object out of all pieces (at least one).
        is_whole: whether a first piece is all there is to say, and so is one object even in a stream.
        wire: how pieces are written.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[T, None],
        *,
        stream: bool,
        merge: Callable[[Sequence[T]], Any],
        is_whole: Callable[[T], bool] = lambda piece: False,
        wire: Wire[T] | None = None,
    ) -> None:
        self.pieces = pieces
        self.stream = stream
        self.merge = merge
        self.is_whole = is_whole
        self.wire: Wire[T] = wire or Lines()
        self.background = None
        self.begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(self._answer(scope, receive, send), receive)
        except EngineError as error:
            if not self.begun:
                raise
            await self._end_with(discreet(error, scope), send)
        except Exception as error:
            if not self.begun:
                raise
            await self._end_with(unexpected(error), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            first = await anext(self.pieces, None)
            if first is None:
                raise EngineError("the answer ended before it began")
            if self.stream and not self.is_whole(first):
                await self._send_pieces(first, send)
            else:
                every = [first, *[piece async for piece in self.pieces]]
                await self.whole(self.merge(every))(scope, receive, send)
        finally:
            await self.pieces.aclose()

    def whole(self, merged: Any) -> Response:
        """The answer that is not streamed."""
        return json_response(merged)

    async def _send_pieces(self, first: T, send: Send) -> None:
        headers = [(b"content-type", self.wire.content_type.encode())]
        self.begun = True
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with _beating(self.wire.beat, send) as send_part:
            await send_part(self.wire.piece(first))
            async for piece in self.pieces:
                await send_part(self.wire.piece(piece))
            await send_part(self.wire.end())
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end_with(self, error: EngineError, send: Send) -> None:
        await send({"type": "http.response.body", "body": self.wire.failure(error), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def _beating(beat: bytes, send: Send) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """Sends parts of a body, and `beat`, if it is anything, whenever none was sent for BEAT_SECONDS."""

    async def send_part(part: bytes) -> None:
        if part:
            await send({"type": "http.response.body", "body": part, "more_body": True})

    if not beat:
        yield send_part
        return
    now = asyncio.get_running_loop().time
    sent_at = now()

    async def send_noted(part: bytes) -> None:
        nonlocal sent_at
        if part:
            sent_at = now()
            await send_part(part)

    async def keep_beating() -> None:
        while True:
            silent = now() - sent_at
            if silent >= BEAT_SECONDS:
                await send_noted(beat)
            else:
                await asyncio.sleep(BEAT_SECONDS - silent)

    beating = asyncio.ensure_future(keep_beating())
    try:
        yield send_noted
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


def progress_answer(steps: AsyncGenerator[Progress, None], stream: bool | None) -> StreamedAnswer[Progress]:
    """The steps of something long, or only the last one, which says `success`."""
    if stream is False:
        steps = _last(steps)
    return StreamedAnswer(steps, stream=stream is not False, merge=lambda pieces: pieces[-1])


async def _last(steps: AsyncGenerator[Progress, None]) -> AsyncGenerator[Progress, None]:
    """The last step alone: a pull may have many thousands."""
    last: Progress | None = None
    async with aclosing(steps):
        async for step in steps:
            last = step
    if last is not None:
        yield last


async def while_connected(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Do `work`, and cancel it when the client hangs up (or when draining ends, see drain.py).

    The request's body must have been read.

    Raises:
        RequestCanceled: the client is gone.
        Busy: the server is shutting down and waits no longer.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        results = await asyncio.gather(task, gone, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]
    if gone.result().get("reason") == SHUTTING_DOWN:
        raise Busy("the server is shutting down", retry_after=5.0)
    raise RequestCanceled()


async def _disconnected(receive: Receive) -> Message:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return message
