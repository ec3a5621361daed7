"""Answers that come in pieces: NDJSON while they are made, or one object at the end (spec §0).

The async generator behind an answer is the work itself. It is closed, which cancels the work, as soon as the client
has gone, when the server may wait no longer, and when the answer is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ollama_engine.errors import Busy, EngineError, RequestCanceled
from ollama_engine.server.drain import SHUTTING_DOWN
from ollama_engine.server.encode import NDJSON_TYPE, encode, json_response
from ollama_engine.server.errors import error_object, unexpected
from ollama_engine.types import Progress

T = TypeVar("T")


class StreamedAnswer(Response, Generic[T]):
    """Sends what `pieces` yields.

    Args:
        pieces: the work; an error before its first piece reaches the client with its own status, a later one as a
            last line `{"error": ...}`.
        stream: a line for each piece, else one object.
        merge: makes that object out of all pieces (at least one).
        is_whole: whether a first piece is all there is to say, and so is one object even in a stream.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[T, None],
        *,
        stream: bool,
        merge: Callable[[Sequence[T]], Any],
        is_whole: Callable[[T], bool] = lambda piece: False,
    ) -> None:
        self.pieces = pieces
        self.stream = stream
        self.merge = merge
        self.is_whole = is_whole
        self.background = None
        self.begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(self._answer(scope, receive, send), receive)
        except EngineError as error:
            if not self.begun:
                raise
            await self._end_with(error, send)
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
                await self._send_lines(first, send)
            else:
                every = [first, *[piece async for piece in self.pieces]]
                await json_response(self.merge(every))(scope, receive, send)
        finally:
            await self.pieces.aclose()

    async def _send_lines(self, first: T, send: Send) -> None:
        headers = [(b"content-type", NDJSON_TYPE.encode())]
        self.begun = True
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_line(first, send)
        async for piece in self.pieces:
            await _send_line(piece, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end_with(self, error: EngineError, send: Send) -> None:
        await _send_line(error_object(error), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


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


async def _send_line(piece: Any, send: Send) -> None:
    await send({"type": "http.response.body", "body": encode(piece) + b"\n", "more_body": True})


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
