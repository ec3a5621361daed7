"""Reading a stranger's tar file as a stream: one plain file after the other, and nothing spent on its lies.

Only what a bundle can hold is read: plain files of few names, folders, and the extended headers that carry the size
of a file beyond 8 GB. tarfile decodes the header blocks; its own stream reader is not used, because it reads headers of
any length into memory and takes a broken one for the end.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from io import BufferedReader

from ollama_engine.bundle.layout import BLOB_FOLDER, INDEX_FILE, LAYOUT_FILE, InvalidBundle

MAX_MEMBERS = 50_000
MAX_HEADERS = 64 * 1024
"""Bytes that the extended headers before one member may have together."""

CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_FOLDERS = ("", ".", "blobs", "blobs/sha256")
_LEGACY = ("manifest.json", "repositories")
"""What docker adds for its own older versions."""
_BLOB = re.compile(re.escape(BLOB_FOLDER) + "[0-9a-f]{64}")
_RECORD = re.compile(rb"([0-9]{1,5}) ([^=]{1,100})=")


class Member:
    """A file of the bundle, its bytes to be read once and before the next member. `size` in bytes."""

    def __init__(self, name: str, size: int, source: _Source) -> None:
        self.name = name
        self.size = size
        self._source = source
        self._left = size

    def chunks(self) -> Iterator[bytes]:
        """The bytes not read yet; InvalidBundle where the tar file ends before them."""
        while self._left:
            chunk = self._source.exactly(min(CHUNK, self._left))
            self._left -= len(chunk)
            yield chunk

    def read(self, limit: int) -> bytes:
        """All bytes of a small one; InvalidBundle beyond `limit`."""
        if self.size > limit:
            raise InvalidBundle(f"the bundle's {self.name} is larger than {limit} bytes")
        return b"".join(self.chunks())

    def pass_over(self) -> None:
        for _ in self.chunks():
            pass


def members(file: BufferedReader) -> Iterator[Member]:
    """The files of a bundle, gzipped or not, as they come. InvalidBundle names the first thing that is wrong."""
    source = _Source(file)
    seen: set[str] = set()
    while (info := _next_header(source)) is not None:
        member = _checked(info, source)
        if member is None:
            continue
        if member.name in seen:
            raise InvalidBundle(f"{member.name} comes twice in the bundle")
        seen.add(member.name)
        if len(seen) > MAX_MEMBERS:
            raise InvalidBundle(f"the bundle has more than {MAX_MEMBERS} files")
        if member.name not in _LEGACY:
            yield member
        member.pass_over()
        source.exactly(-member.size % tarfile.BLOCKSIZE)


class _Source:
    """The bytes of the tar file; every failure to read them is an InvalidBundle."""

    def __init__(self, file: BufferedReader) -> None:
        self._file = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
        self._began = False

    def exactly(self, size: int) -> bytes:
        data = self.up_to(size)
        if len(data) < size:
            raise InvalidBundle(
                "the bundle ends before its end: it was cut off" if self._began else "there is no bundle: no bytes came"
            )
        return data

    def up_to(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end of the file."""
        found = bytearray()
        try:
            while len(found) < size and (chunk := self._file.read(size - len(found))):
                found += chunk
        except EOFError as error:
            raise InvalidBundle("the bundle ends before its end: it was cut off") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise InvalidBundle(f"the bundle's compression is broken: {error}") from error
        self._began = self._began or bool(found)
        return bytes(found)


def _next_header(source: _Source) -> tarfile.TarInfo | None:
    """The header of the next member that is none of the extended ones, which are applied; None at the end."""
    extended: dict[str, str] = {}
    room = MAX_HEADERS
    while True:
        block = source.exactly(tarfile.BLOCKSIZE)
        if not any(block):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise InvalidBundle(f"this is no tar file, or a broken one: {error}") from error
        if info.type not in _EXTENDED:
            return _applied(info, extended)
        room -= tarfile.BLOCKSIZE + max(info.size, 0)
        if info.size < 0 or room < 0:
            raise InvalidBundle("a header in the bundle is too long")
        data = source.exactly(info.size)
        source.exactly(-info.size % tarfile.BLOCKSIZE)
        if info.type != tarfile.XGLTYPE:
            extended = _records(data)


def _records(data: bytes) -> dict[str, str]:
    """The records of an extended header: `<length> <key>=<value>\\n`, the length that of the whole record."""
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        match = _RECORD.match(data, place)
        end = place + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise InvalidBundle("a header in the bundle is broken")
        found[match[2].decode("utf-8", "replace")] = data[match.end() : end - 1].decode("utf-8", "surrogateescape")
        place = end
    return found


def _applied(info: tarfile.TarInfo, extended: dict[str, str]) -> tarfile.TarInfo:
    if any(key.startswith("GNU.sparse") for key in extended):
        raise InvalidBundle(f"{info.name[:100]!a} in the bundle is a sparse file; a bundle holds plain ones")
    info.name = extended.get("path", info.name)
    size = extended.get("size", "")
    if size:
        if not (size.isascii() and size.isdigit() and len(size) < 20):
            raise InvalidBundle("a header in the bundle is broken")
        info.size = int(size)
    return info


def _checked(info: tarfile.TarInfo, source: _Source) -> Member | None:
    """The member, if it is a file that a bundle may hold; None for its folders."""
    name = info.name.removeprefix("./")
    shown = f"{info.name[:100]!a}"
    if info.type == tarfile.DIRTYPE:
        if name.rstrip("/") in _FOLDERS and not info.size:
            return None
    elif info.type not in _FILES:
        raise InvalidBundle(f"{shown} in the bundle is no plain file, but a link, a device or the like")
    elif name in (LAYOUT_FILE, INDEX_FILE, *_LEGACY) or _BLOB.fullmatch(name):
        if info.size < 0:
            raise InvalidBundle(f"{shown} in the bundle has a negative size")
        return Member(name, info.size, source)
    raise InvalidBundle(
        f"{shown} has no place in a bundle of models", hint="A bundle is what ollama-tui save writes: an OCI layout."
    )
