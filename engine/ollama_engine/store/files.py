"""The few file operations the store rests on: bounded reads, durable replacement, errors that say where.

Whatever lies in the store's folder may be somebody else's: only regular files are read, never more than asked
for, and opening one never blocks (a FIFO put in a manifest's place would otherwise hang the list).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ollama_engine.errors import StoreError

FILE_MODE = 0o644
FOLDER_MODE = 0o755
_HINTS = {
    errno.ENOSPC: "Free disk space (remove models, prune), or set OLLAMA_MODELS to a larger disk.",
    errno.EDQUOT: "The disk quota is used up: free space, or set OLLAMA_MODELS to another disk.",
    errno.EACCES: "Check who owns the folder, or set OLLAMA_MODELS to one you may write to.",
    errno.EPERM: "Check who owns the folder, or set OLLAMA_MODELS to one you may write to.",
    errno.EROFS: "The disk is mounted read-only: set OLLAMA_MODELS to a folder on another one.",
}


@contextmanager
def storing(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a StoreError: what failed (`doing`, as "write"), where, and why."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise StoreError(f"cannot {doing} {path}: {error.strerror or error}", hint=hint) from error


def open_regular(path: Path) -> int:
    """A descriptor to read a regular file with. OSError also where it is a folder, a device or a FIFO."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def read_bounded(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """All bytes of a regular file, and its stat, of one moment; OSError(EFBIG) beyond `limit` bytes."""
    with open(open_regular(path), "rb") as file:
        status = os.fstat(file.fileno())
        data = file.read(limit + 1) if status.st_size <= limit else b""
        if status.st_size > limit or len(data) > limit:
            raise OSError(errno.EFBIG, f"larger than {limit} bytes")
        return data, status


def create_temporary(folder: Path, prefix: str, mode: int = FILE_MODE) -> tuple[int, Path]:
    """A new file in `folder` to write and then rename: `<prefix><random>.tmp`, of that mode less the umask."""
    while True:
        path = folder / f"{prefix}{secrets.token_hex(8)}.tmp"
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), path


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace_durably(path: Path, data: bytes, *, prefix: str, mode: int = FILE_MODE) -> None:
    """Put `data` at `path` so that a crash leaves the old content or the new, never a part. OSError."""
    path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, temporary = create_temporary(path.parent, prefix, mode)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` last through a power cut. OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
