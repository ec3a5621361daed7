"""Several streams read at once, for requests that want several answers (`n`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


async def side_by_side(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """Each piece with the number of its stream, in the order they come.

    The first error of any stream is raised. Closing this closes all of them.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as pieces:
            async for piece in pieces:
                yield 0, piece
        return
    queue: asyncio.Queue[tuple[int, T]] = asyncio.Queue()
    tasks = [asyncio.ensure_future(_read(number, stream, queue)) for number, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            number, piece = await queue.get()
            if piece is _END:
                await tasks[number]
                running -= 1
            else:
                yield number, piece
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(number: int, stream: AsyncGenerator[T, None], queue: asyncio.Queue[tuple[int, T]]) -> None:
    try:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                queue.put_nowait((number, piece))
    finally:
        queue.put_nowait((number, _END))
