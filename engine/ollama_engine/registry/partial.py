"""A download that is not finished: `blobs/sha256-<hex>-partial` and the journal that says which bytes are in it.

The partial is a sparse file of the blob's full length. Whatever is written into it is then noted in
`sha256-<hex>-partial.journal` with its CRC, in one append: what the journal says is in the file after a kill -9,
and after a power cut the CRC tells what is not. A partial is locked (flock) by the one who downloads it. Ollama's
own `-partial-<N>` notes have other names and are left alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from ollama_engine.registry.ranges import RangeSet
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import FILE_MODE, FOLDER_MODE, storing, sync_folder, write_all
from ollama_engine.store.lock import StoreLock

MAX_PIECE = 4 << 20
"""Bytes that one record of the journal may stand for; pieces are read back as a whole."""
_RECORD = struct.Struct("<QIIII")  # offset, length, CRC of the piece, source, CRC of the record
_VERSION = 1


class Piece(Struct, frozen=True):
    """Bytes that were written. `source` tells apart versions of the file at the registry (a CRC of its ETag)."""

    offset: int
    length: int
    crc: int
    source: int = 0

    @property
    def end(self) -> int:
        return self.offset + self.length


class _Header(Struct):
    version: int
    digest: str
    size: int
    inode: int


class Partial:
    """One partial, open and locked. Synchronous; failures of the disk are StoreErrors."""

    def __init__(self, path: Path, descriptor: int, digest: Digest, size: int) -> None:
        self.path = path
        self.journal_path = journal_path(path)
        self.digest = digest
        self.size = size
        self.pieces: dict[int, Piece] = {}
        self.have = RangeSet()
        self._descriptor = descriptor
        self._journal = -1
        self._writing = threading.Lock()

    @classmethod
    def open(cls, folder: Path, digest: Digest, size: int) -> Partial | None:
        """The partial of a blob, made where there is none; None where somebody else is downloading it."""
        path = partial_path(folder, digest)
        with storing("write", path):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
            try:
                if not _lock(descriptor, path):
                    os.close(descriptor)
                    return None
                partial = cls(path, descriptor, digest, size)
                partial._prepare()
            except BaseException:
                os.close(descriptor)
                raise
            return partial

    def write(self, offset: int, data: bytes | bytearray | memoryview, source: int = 0) -> Piece:
        """Write bytes and note them; they count once `record` has been called with the result."""
        with storing("write", self.path):
            view = memoryview(data)
            crc = zlib.crc32(view)
            position = offset
            while view:
                written = os.pwrite(self._descriptor, view, position)
                position, view = position + written, view[written:]
            piece = Piece(offset, len(data), crc, source)
            with self._writing:
                write_all(self._journal, _encode(piece))
            return piece

    def record(self, piece: Piece) -> None:
        self.pieces[piece.offset] = piece
        self.have.add(piece.offset, piece.end)

    def read(self, piece: Piece, buffer: bytearray) -> memoryview:
        """The bytes of a piece, read back into `buffer` (of MAX_PIECE bytes)."""
        with storing("read", self.path):
            view = memoryview(buffer)[: piece.length]
            filled = 0
            while filled < piece.length:
                got = os.preadv(self._descriptor, [view[filled:]], piece.offset + filled)
                if got == 0:
                    return view[:filled]
                filled += got
            return view

    def is_intact(self, piece: Piece, buffer: bytearray) -> bool:
        """Whether the bytes of the piece are still those that were written."""
        data = self.read(piece, buffer)
        return len(data) == piece.length and zlib.crc32(data) == piece.crc

    def discard(self, pieces: Iterable[Piece]) -> None:
        """Forget pieces that turned out wrong, also in the journal."""
        for piece in pieces:
            if self.pieces.pop(piece.offset, None):
                self.have.remove(piece.offset, piece.end)
        with storing("write", self.journal_path), self._writing:
            os.close(self._journal)
            self._journal = -1
            self._write_journal()

    @property
    def allocated(self) -> int:
        """Bytes of disk that the partial takes already."""
        return os.fstat(self._descriptor).st_blocks * 512

    def become(self, blob: Path, root: Path) -> None:
        """Give the verified partial its blob's name, durably; its journal goes."""
        with storing("write", blob):
            os.fsync(self._descriptor)
            with StoreLock(root).shared():
                os.utime(self.path)
                os.replace(self.path, blob)
            sync_folder(blob.parent)
            self.journal_path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the partial and its journal: what is in it is known to be wrong."""
        with storing("remove", self.path):
            self.path.unlink(missing_ok=True)
            self.journal_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up the lock; what was noted stays for the next time."""
        for descriptor in (self._journal, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._journal = self._descriptor = -1

    def _prepare(self) -> None:
        """Make the file its full length, and believe the journal as far as it belongs to this very file."""
        if os.fstat(self._descriptor).st_size == self.size and (believed := self._read_journal()):
            self._journal = os.open(self.journal_path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            os.ftruncate(self._journal, believed)
            return
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, self.size)
        self._write_journal()

    def _read_journal(self) -> int:
        """Take over the pieces that the journal knows; how many bytes of it are whole, 0 if it is not ours."""
        try:
            head, separator, records = self.journal_path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return 0
        if not separator or not self._is_mine(head):
            return 0
        whole = len(head) + 1
        for start in range(0, len(records) - _RECORD.size + 1, _RECORD.size):
            piece = _decode(records[start : start + _RECORD.size])
            if piece is None or piece.end > self.size:
                break
            whole += _RECORD.size
            if not self._overlaps(piece):
                self.record(piece)
        return whole

    def _overlaps(self, piece: Piece) -> bool:
        return sum(end - start for start, end in self.have.gaps(piece.offset, piece.end)) != piece.length

    def _is_mine(self, head: bytes) -> bool:
        try:
            return msgspec.json.decode(head, type=_Header) == self._header()
        except msgspec.MsgspecError:
            return False

    def _header(self) -> _Header:
        return _Header(_VERSION, str(self.digest), self.size, os.fstat(self._descriptor).st_ino)

    def _write_journal(self) -> None:
        data = msgspec.json.encode(self._header()) + b"\n"
        data += b"".join(_encode(piece) for piece in self.pieces.values())  # oldest first
        fresh = self.journal_path.with_name(self.journal_path.name + ".tmp")  # ours alone: we hold the lock
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._journal = os.open(fresh, flags, FILE_MODE)
        write_all(self._journal, data)
        os.fsync(self._journal)
        os.replace(fresh, self.journal_path)


class InOrder:
    """The sha256 of a partial's bytes from the start, taken while they come in any order."""

    def __init__(self, partial: Partial, unsure: Iterable[int] = ()) -> None:
        self._partial = partial
        self._hash = hashlib.sha256()
        self._buffer = bytearray(MAX_PIECE)
        self._unsure = set(unsure)
        self.position = 0

    def pieces(self, limit: int) -> list[Piece]:
        """The next pieces that follow each other without a gap, about `limit` bytes of them."""
        found: list[Piece] = []
        position = self.position
        while position - self.position < limit and (piece := self._partial.pieces.get(position)):
            found.append(piece)
            position = piece.end
        return found

    def add(self, pieces: list[Piece]) -> Piece | None:
        """Hash these pieces; the first one whose bytes are not on the disk as they were written, if any.

        Pieces that this process wrote itself are not checked again.
        """
        for piece in pieces:
            data = self._partial.read(piece, self._buffer)
            unsure = piece.offset in self._unsure
            if len(data) != piece.length or (unsure and zlib.crc32(data) != piece.crc):
                return piece
            self._hash.update(data)
            self.position = piece.end
        return None

    def digest(self) -> Digest:
        return Digest(self._hash.hexdigest())


def partial_path(folder: Path, digest: Digest) -> Path:
    return folder / f"{digest.file_name}-partial"


def journal_path(partial: Path) -> Path:
    return partial.with_name(partial.name + ".journal")


def clear_up(folder: Path, digest: Digest) -> None:
    """Remove the journal of a blob that is there: a kill came between the blob's renaming and this."""
    path = partial_path(folder, digest)
    if not path.exists():
        journal_path(path).unlink(missing_ok=True)


def _lock(descriptor: int, path: Path) -> bool:
    """Lock the file if it is free, and still the one at `path` (it may just have become a blob)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == os.stat(path).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _encode(piece: Piece) -> bytes:
    fields = (piece.offset, piece.length, piece.crc, piece.source)
    return _RECORD.pack(*fields, zlib.crc32(_RECORD.pack(*fields, 0)))


def _decode(record: bytes) -> Piece | None:
    offset, length, crc, source, check = _RECORD.unpack(record)
    if check != zlib.crc32(_RECORD.pack(offset, length, crc, source, 0)) or not 0 < length <= MAX_PIECE:
        return None
    return Piece(offset, length, crc, source)
