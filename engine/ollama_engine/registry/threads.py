"""Work that must not be left half done when its caller is cancelled: threads on files that are closed after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def see_through(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end: a cancellation of the caller comes out only then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the cancellation is what the caller hears of
        raise


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """asyncio.to_thread that is not left while its thread runs."""
    return await see_through(asyncio.to_thread(function, *args, **kwargs))
