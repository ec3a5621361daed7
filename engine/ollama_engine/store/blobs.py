"""Blobs: files named by the sha256 of what is in them (spec §6).

A blob is written to a temporary file beside its place, hashed on the way, synced and renamed: it is there
whole or not at all, and two writers of the same blob both succeed. Create, pull and `POST /api/blobs` write
here; loading a model reads. A blob may be a symbolic link to a file elsewhere (people share weights between
programs so); nothing here ever makes one. It may also be a hard link to a file of the user's: see `in_place`.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from msgspec import Struct

from ollama_engine.errors import DigestMismatch, InvalidRequest, NotFound, StoreError
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import (
    FOLDER_MODE,
    create_temporary,
    open_regular,
    read_bounded,
    storing,
    sync_folder,
    write_all,
)
from ollama_engine.store.lock import StoreLock
from ollama_engine.store.originals import Originals, changed

TEMPORARY_PREFIX = ".writing-"
CHUNK = 1 << 20
MAX_SMALL_BLOB = 16 << 20
"""Bytes that a blob read into memory as a whole may have (templates, licences, messages)."""

P = ParamSpec("P")
T = TypeVar("T")


class Blob(Struct, frozen=True):
    """A blob in the store. `new` is false when it was there before."""

    digest: Digest
    size: int
    new: bool


class BlobStore:
    """The folder `blobs/` of a store. Failures of the disk are StoreErrors that name the file."""

    def __init__(self, folder: Path, lock: StoreLock) -> None:
        self.folder = folder
        self.lock = lock
        self.originals = Originals(folder)

    def path(self, digest: Digest | str) -> Path:
        """Where the blob lies, or would: under its legacy name (`sha256:<hex>`) if only that is there."""
        known = _digest(digest)
        path = self.folder / known.file_name
        legacy = self.folder / known.legacy_file_name
        return legacy if not path.is_file() and legacy.is_file() else path

    def size(self, digest: Digest | str) -> int | None:
        """Bytes of the blob; None where there is none."""
        path = self.path(digest)
        with storing("read", path):
            return path.stat().st_size if path.is_file() else None

    def exists(self, digest: Digest | str, size: int | None = None) -> bool:
        """Whether the blob is there, and as long as `size` says where that is given."""
        found = self.size(digest)
        return found is not None and size in (None, found)

    def reuse(self, digest: Digest | str, size: int | None = None) -> bool:
        """`exists`, unchanged, and if so mark the blob as freshly used, which keeps it from being collected."""
        with self.lock.shared():
            if not self.exists(digest, size) or not self.is_intact(digest):
                return False
            path, known = self.path(digest), _digest(digest)
            with storing("write", path):
                if self.originals.used_ns(known) is not None:
                    self.originals.touch(known)
                else:
                    os.utime(path, follow_symlinks=False)
            return True

    def is_intact(self, digest: Digest | str) -> bool:
        """False for a blob that is a file of the user's, placed here by a hard link, and changed since."""
        path = self.path(digest)
        with storing("read", path):
            original = self.originals.find(_digest(digest))
            return original is None or original.is_intact(path)

    def check_original(self, path: Path) -> None:
        """StoreError, with the user's file named, for the path of a blob that is not `is_intact`."""
        digest = digests.of_file_name(path.name)
        if digest is None:
            return
        with storing("read", path):
            original = self.originals.find(digest)
            if original is not None and not original.is_intact(path):
                raise changed(original)

    def open(self, digest: Digest | str) -> BufferedReader:
        """The blob, to read; NotFound where there is none."""
        path = self.path(digest)
        try:
            return open(open_regular(path), "rb")
        except FileNotFoundError:
            raise NotFound(f"blob {_digest(digest)} is not in the store") from None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error

    def read(self, digest: Digest | str, limit: int = MAX_SMALL_BLOB) -> bytes:
        """All of a small blob; NotFound where there is none, StoreError beyond `limit` bytes."""
        path = self.path(digest)
        try:
            return read_bounded(path, limit)[0]
        except FileNotFoundError:
            raise NotFound(f"blob {_digest(digest)} is not in the store") from None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error

    def verify(self, digest: Digest | str) -> None:
        """Hash the blob again; DigestMismatch when its bytes are no longer what its name says."""
        with self.open(digest) as file:
            found = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        if found != _digest(digest):
            raise _mismatch(_digest(digest), found)

    def writer(self) -> BlobWriter:
        """Begin a blob whose bytes come piece by piece."""
        return BlobWriter(self.folder, self.lock)

    def write(self, digest: Digest | str | None, chunks: Iterable[bytes]) -> Blob:
        """Store the bytes of `chunks`. With a digest that is there already they are not even asked for.

        DigestMismatch when they are not what `digest` says: then nothing is kept.
        """
        expected = None if digest is None else _digest(digest)
        if expected and (present := self._present(expected)):
            return present
        with self.writer() as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit(expected)

    async def write_stream(self, digest: Digest | str | None, chunks: AsyncIterable[bytes]) -> Blob:
        """`write` for bytes that arrive on an event loop; hashing and disk are left to threads."""
        expected = None if digest is None else _digest(digest)
        if expected and (present := await asyncio.to_thread(self._present, expected)):
            return present
        writer = self.writer()
        try:
            await _in_thread(writer.open)
            waiting = bytearray()
            async for chunk in chunks:
                waiting += chunk
                if len(waiting) >= CHUNK:
                    await _in_thread(writer.write, bytes(waiting))
                    waiting.clear()
            await _in_thread(writer.write, bytes(waiting))
            return await _in_thread(writer.commit, expected)
        finally:
            writer.close()

    def add_bytes(self, data: bytes) -> Blob:
        return self.write(digests.of_bytes(data), [data])

    def add_file(self, path: Path) -> Blob:
        """Copy a file from outside into the store; InvalidRequest when it cannot be read.

        When a blob of the same length is there the file is hashed first, so that making a model a second time
        of the same weights takes no room on the disk.
        """
        try:
            length = path.stat().st_size
            if length in self._lengths():
                with open(open_regular(path), "rb") as file:
                    digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
                if present := self._present(digest):
                    return present
        except OSError as error:
            raise InvalidRequest(f"cannot read {path}: {error.strerror or error}") from error
        return self.write(None, read_chunks(path))

    def adopt(self, path: Path, digest: Digest | str) -> Blob:
        """Make a finished download, lying in `blobs/` under a name of its own, the blob `digest`.

        Its bytes are hashed first: DigestMismatch leaves the file to the caller. StoreError where it cannot
        be moved.
        """
        expected = _digest(digest)
        target = self.folder / expected.file_name
        with storing("write", target):
            with open(open_regular(path), "rb") as file:
                found = Digest(hashlib.file_digest(file, "sha256").hexdigest())
                size = os.fstat(file.fileno()).st_size
                if found != expected:
                    raise _mismatch(expected, found)
                os.fsync(file.fileno())
            with self.lock.shared():
                new = not target.exists()
                os.utime(path)
                os.replace(path, target)
                self.originals.forget(expected)
            sync_folder(self.folder)
        return Blob(expected, size, new)

    def _lengths(self) -> set[int]:
        lengths: set[int] = set()
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # gone meanwhile, or a link to nothing
                    lengths.add(entry.stat().st_size)
        return lengths

    def _present(self, digest: Digest) -> Blob | None:
        size = self.size(digest)
        return Blob(digest, size, new=False) if size is not None and self.reuse(digest) else None


class BlobWriter:
    """One blob being written; what is not committed leaves nothing behind.

    The temporary file stays locked while its writer lives, so that prune can tell it from one that a crash
    left.
    """

    def __init__(self, folder: Path, lock: StoreLock) -> None:
        self._folder = folder
        self._lock = lock
        self._hash = hashlib.sha256()
        self._size = 0
        self._descriptor = -1
        self._path = folder

    def open(self) -> None:
        """Make the temporary file; done by `with`."""
        with self._lock.shared(), storing("write", self._folder):
            self._folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._descriptor, self._path = create_temporary(self._folder, TEMPORARY_PREFIX)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def write(self, chunk: bytes) -> None:
        with storing("write", self._path):
            write_all(self._descriptor, chunk)
        self._hash.update(chunk)
        self._size += len(chunk)

    @property
    def path(self) -> Path:
        """Where the bytes lie until they are committed. Another process may write them there: see `hash_file`."""
        return self._path

    def hash_file(self) -> Iterator[int]:
        """Read back what another process has written at `path`, so that it can be committed; the bytes done so far."""
        self._hash, self._size = hashlib.sha256(), 0
        with storing("read", self._path), open(open_regular(self._path), "rb") as file:
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)
                self._size += len(chunk)
                yield self._size

    def commit(self, expected: Digest | None = None) -> Blob:
        """Put the blob in its place; DigestMismatch when it is not `expected`."""
        found = Digest(self._hash.hexdigest())
        if expected is not None and found != expected:
            raise _mismatch(expected, found)
        target = self._folder / found.file_name
        with storing("write", target):
            os.fsync(self._descriptor)
            with self._lock.shared():
                new = not target.exists()
                os.utime(self._path)
                os.replace(self._path, target)
                Originals(self._folder).forget(found)
            sync_folder(self._folder)
        self._forget()
        return Blob(found, self._size, new)

    def close(self) -> None:
        """Give up what is not committed; does nothing after a commit."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            self._forget()

    def _forget(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_chunks(path: Path, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a regular file, piece by piece; InvalidRequest when it cannot be read."""
    try:
        with open(open_regular(path), "rb") as file:
            while chunk := file.read(size):
                yield chunk
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror or error}") from error


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """asyncio.to_thread, but when cancelled it waits for the thread: its file must not be closed under it."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the cancellation is what the caller hears of; asyncio need not complain
        raise


def _digest(digest: Digest | str) -> Digest:
    return digests.parse(digest) if isinstance(digest, str) else digest


def _mismatch(expected: Digest, found: Digest) -> DigestMismatch:
    return DigestMismatch(
        f'digest mismatch, expected "{expected}", got "{found}"',
        hint="The bytes were changed on the way: send them again.",
    )
