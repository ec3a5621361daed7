"""Who may change the store, across processes: two lock files in its root, locked with flock.

`.ollama-tui.lock` orders the short steps: a blob coming into place or being re-used holds it shared, writing
or removing a manifest and collecting blobs hold it exclusively. `.ollama-tui.creating` is held shared by
everybody who is making a model, from the first blob to the manifest, however long that takes: while one of
them lives, young blobs that no manifest names yet are left alone. The kernel drops both when their holder
dies, so nothing has to be cleaned up.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ollama_engine.errors import StoreError
from ollama_engine.store.files import FILE_MODE, FOLDER_MODE, storing

PATIENCE = 60.0
"""Seconds to wait for a step of somebody else's: steps take milliseconds, so this long means it hangs."""

_POLL = 0.005


class Creation:
    """The mark of a model being made; close it, or leave its `with`, when that is done or given up."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StoreLock:
    """The locks of one store. StoreError when a lock cannot be had."""

    def __init__(self, root: Path, *, patience: float = PATIENCE) -> None:
        self._steps = root / ".ollama-tui.lock"
        self._creating = root / ".ollama-tui.creating"
        self._patience = patience

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold off those who remove blobs."""
        descriptor = self._take(self._steps, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only one who changes the store."""
        descriptor = self._take(self._steps, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def creating(self) -> Creation:
        """Begin making a model."""
        return Creation(self._take(self._creating, fcntl.LOCK_SH))

    @contextmanager
    def nobody_creating(self) -> Iterator[bool]:
        """Whether no model is being made anywhere; if so, none can be begun before the block ends."""
        descriptor = self._open(self._creating)
        try:
            yield is_free(descriptor)
        finally:
            os.close(descriptor)

    def _take(self, path: Path, kind: int) -> int:
        descriptor = self._open(path)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return descriptor
            except OSError as error:
                late = time.monotonic() > deadline
                if error.errno in (errno.EAGAIN, errno.EACCES, errno.EINTR) and not late:
                    time.sleep(_POLL)
                    continue
                os.close(descriptor)
                if late:
                    raise StoreError(
                        f"the store is locked by another process ({path})",
                        hint="End the process that hangs; the lock goes with it.",
                    ) from error
                raise StoreError(f"cannot lock {path}: {error.strerror}") from error

    @staticmethod
    def _open(path: Path) -> int:
        with storing("lock", path):
            path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            except PermissionError:  # another user of a shared store made it: to lock it, reading is enough
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def is_free(descriptor: int) -> bool:
    """Lock the file exclusively if nobody else holds it; whether that was so."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
