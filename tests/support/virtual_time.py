"""An event loop whose time is virtual: it jumps to the next timer as soon as nothing else is to be done.

    def test_...() -> None:
        run_virtual(scenario())          # asyncio.sleep(3600) inside takes no time at all

What is waited for must come from within: there are no processes, threads or sockets here. Where nothing is left to be
done and somebody still waits, nobody will ever wake up: that raises Deadlock, at once and not after a timeout.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Deadlock(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now` in seconds, 0 at the beginning."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_JumpingSelector(self._jump))
        # Late in virtual time a float has no nanoseconds any more: a timer must not be missed by less than that.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.now

    def _jump(self, seconds: float | None) -> None:
        if seconds is None:
            tasks = [task.get_coro() for task in asyncio.all_tasks(self)]
            raise Deadlock(f"at {self.now:.3f} s nothing is left to happen, and these wait: {tasks}")
        self.now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, jump: Callable[[float | None], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            # What another thread has put in (call_soon_threadsafe) comes through the loop's own socket.
            if ready := super().select(0):
                return ready
            self._jump(timeout)
        return super().select(0)


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def virtual(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """A test that is a coroutine, run in virtual time. (pytest-asyncio sees a plain function.)"""

    @wraps(test)
    def in_virtual_time(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle(turns: int = 1000) -> None:
    """Let everything happen that needs no time."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await asyncio.sleep(0)
        if not loop._ready:  # pyright: ignore[reportAttributeAccessIssue] - what is to run now, and nothing tells it else
            return
    raise AssertionError("there is no end to it")
