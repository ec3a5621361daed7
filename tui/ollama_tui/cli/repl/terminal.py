"""The terminal between two prompts: what is typed while an answer comes waits unseen for the next prompt.

Without this the kernel would echo it into the answer, and hand it over with its line ends changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

_BRACKETED_PASTE_ON, _BRACKETED_PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"
_IFLAG, _LFLAG, _CC = 0, 3, 6


@contextlib.contextmanager
def typed_keys_wait() -> Iterator[None]:
    """No echo and whole keys from now on; ctrl+c stays a signal, and takes nothing away that was typed before it."""
    descriptor = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:  # no terminal, where nobody types either
        yield
        return
    try:
        _quiet(descriptor)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _quiet(descriptor: int) -> None:
    attributes: list[Any] = termios.tcgetattr(descriptor)
    attributes[_LFLAG] &= ~(termios.ECHO | termios.ICANON)
    attributes[_LFLAG] |= termios.ISIG | termios.NOFLSH
    attributes[_IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    attributes[_CC][termios.VMIN], attributes[_CC][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


@contextlib.contextmanager
def pastes_whole() -> Iterator[None]:
    """What is pasted while an answer comes is one piece at the next prompt, not a message a line."""
    if os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        yield
        return
    sys.stdout.write(_BRACKETED_PASTE_ON)
    sys.stdout.flush()
    try:
        yield
    finally:
        sys.stdout.write(_BRACKETED_PASTE_OFF)
        sys.stdout.flush()


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do `work`, which ctrl+c cancels; true where it did. After ctrl+z and fg the terminal is quiet again."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    before = signal.getsignal(signal.SIGINT)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGCONT, _quiet_again)
    try:
        with pastes_whole():
            await task
    except asyncio.CancelledError:
        if not stopped:  # the whole program is to end
            raise
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)
    return stopped


def _quiet_again() -> None:
    with contextlib.suppress(termios.error):
        _quiet(sys.stdin.fileno())


@contextlib.contextmanager
def ended_by_signals(end: Callable[[int], object]) -> Iterator[None]:
    """SIGTERM and a lost terminal call `end` with their number, so that the terminal is put back as it was."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
