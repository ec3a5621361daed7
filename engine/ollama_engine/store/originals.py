"""What the store remembers of blobs that are hard links to files of the user's (see `in_place`).

Such a blob is the user's own file under a second name: nothing here writes to it or touches its times. One small
record each, in `.ollama-tui.in-place/` beside `blobs/` (inside it Ollama would remove them), says which file it
was, and its size and mtime then, so that a file changed since is noticed without being read. The record's own
mtime is when the blob was last used. `blobs` and `collect` ask here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from ollama_engine.errors import StoreError
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import read_bounded, replace_durably

FOLDER = ".ollama-tui.in-place"
_MAX_RECORD = 64 << 10


class Original(Struct, frozen=True):
    """The user's file as it was when it became a blob."""

    path: str
    size: int
    mtime_ns: int

    def is_intact(self, blob: Path) -> bool:
        """Whether the blob, which is that file, looks as it did. OSError."""
        status = blob.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Originals:
    """The records of one store. OSError where the disk fails, but for what reading finds broken: that is no record."""

    def __init__(self, blobs: Path) -> None:
        self.folder = blobs.parent / FOLDER

    def find(self, digest: Digest) -> Original | None:
        try:
            return msgspec.json.decode(read_bounded(self._path(digest), _MAX_RECORD)[0], type=Original)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeError):
            return None

    def write(self, digest: Digest, original: Original) -> None:
        replace_durably(self._path(digest), msgspec.json.encode(original), prefix=".writing-")

    def touch(self, digest: Digest) -> None:
        with suppress(FileNotFoundError):
            os.utime(self._path(digest))

    def used_ns(self, digest: Digest) -> int | None:
        """When the blob was last used; None where it is no link to a file of the user's."""
        try:
            return self._path(digest).stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def forget(self, digest: Digest) -> None:
        self._path(digest).unlink(missing_ok=True)

    def digests(self) -> list[Digest]:
        try:
            found = [digests.of_file_name(name) for name in os.listdir(self.folder)]
        except FileNotFoundError:
            return []
        return [digest for digest in found if digest is not None]

    def _path(self, digest: Digest) -> Path:
        return self.folder / digest.file_name


def changed(original: Original) -> StoreError:
    return StoreError(
        f"{original.path} was changed after a model was made of it in place",
        hint="Create the model again from the file as it is now, or without --in-place from an unchanged copy.",
        path=Path(original.path),
    )
