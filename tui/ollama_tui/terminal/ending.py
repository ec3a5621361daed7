"""`Ending`: the App ends, and the terminal is restored, on SIGTERM and SIGHUP, whatever else happens.

The signals ask the App to end as a key would. A program that cannot even be asked (its event loop waits for a line that
is dead, or is stuck) ends a few seconds later all the same. Conversations are on disk before that.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

GRACE = 6.0
"""Seconds the App has to end after a signal."""


class Ending:
    """Args:
    ask: asks the App to end; called in its event loop.
    restore: gives the terminal back at once; called from any thread, as a last resort.
    """

    def __init__(self, ask: Callable[[], object], restore: Callable[[], object]) -> None:
        self._ask = ask
        self._restore = restore
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}
        self._last_resort: threading.Timer | None = None

    def __enter__(self) -> Self:
        atexit.register(self._restore)
        if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._last_resort is not None:
            self._last_resort.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._restore()
        atexit.unregister(self._restore)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._last_resort is None:
            self._last_resort = threading.Timer(GRACE, self._end_at_once, (number,))
            self._last_resort.daemon = True
            self._last_resort.start()
        self._loop.call_soon_threadsafe(self._ask)

    def _end_at_once(self, number: int) -> None:
        self._restore()
        os._exit(128 + number)
