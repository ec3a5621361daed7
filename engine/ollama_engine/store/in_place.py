"""Files of the user's that become blobs where they lie: a clone, else a hard link, else a copy.

A clone (reflink, FICLONE) comes first: it takes no room and is a file of its own, which later changes to the
user's do not reach. A hard link takes no room either but is the user's file: see `originals`. The file itself is
never written to, nor are its mode, owner or times. `LocalEngine.add_file` calls this.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from ollama_engine.errors import InvalidRequest
from ollama_engine.store.blobs import TEMPORARY_PREFIX, BlobStore, read_chunks
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import FOLDER_MODE, create_temporary, open_regular, storing, sync_folder
from ollama_engine.store.originals import Original

FICLONE = 0x40049409
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
Way = Literal["present", "reflink", "hard link", "copy"]


class Placed(Struct, frozen=True):
    """A file that is a blob now, and how it became one; `present`: it was there before."""

    digest: Digest
    size: int
    way: Way


def check_file(path: Path) -> Path:
    """The file behind symbolic links; InvalidRequest where it is none that can be read."""
    try:
        real = path.resolve(strict=True)
        if real.is_dir():
            raise InvalidRequest(f"{path} is a folder, not a file", hint="Name the GGUF file in it.")
        os.close(open_regular(real))
    except (OSError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise InvalidRequest(f"cannot read {path}: {reason}") from error
    return real


def place(blobs: BlobStore, path: Path) -> Placed:
    """Make the file a blob under the digest of what is in it.

    InvalidRequest where it cannot be read or changes meanwhile, StoreError where the store cannot be written.
    """
    real = check_file(path)
    try:
        with open(open_regular(real), "rb") as file:
            before = os.fstat(file.fileno())
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
            _check_same(path, before, os.fstat(file.fileno()))
            if blobs.reuse(digest):
                return Placed(digest, before.st_size, "present")
            if _clone(blobs, digest, file.fileno(), before, path):
                return Placed(digest, before.st_size, "reflink")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror or error}") from error
    if _link(blobs, digest, real, before):
        return Placed(digest, before.st_size, "hard link")
    blobs.write(digest, read_chunks(real))
    return Placed(digest, before.st_size, "copy")


def _check_same(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    if _identity(before) != _identity(after):
        raise InvalidRequest(f"{path} was changed while it was read", hint="Wait until it is whole, and try again.")


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _clone(blobs: BlobStore, digest: Digest, source: int, before: os.stat_result, path: Path) -> bool:
    """Whether the file system could share the file's content with a new blob."""
    target = blobs.folder / digest.file_name
    with blobs.lock.shared(), storing("write", target):
        blobs.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        descriptor, temporary = create_temporary(blobs.folder, TEMPORARY_PREFIX)
        try:
            try:
                fcntl.ioctl(descriptor, FICLONE, source)
            except OSError:  # there is no telling beforehand which systems can; the next way will say what fails
                return False
            _check_same(path, before, os.fstat(source))
            os.fsync(descriptor)
            os.replace(temporary, target)
            blobs.originals.forget(digest)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
        sync_folder(blobs.folder)
    return True


def _link(blobs: BlobStore, digest: Digest, real: Path, before: os.stat_result) -> bool:
    """Whether the file could be given the blob's name as a second one."""
    target = blobs.folder / digest.file_name
    temporary = blobs.folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
    with blobs.lock.shared(), storing("write", target):
        try:
            os.link(real, temporary)
        except OSError as error:
            if error.errno in _CANNOT_LINK:
                return False
            raise
        try:
            _check_same(real, before, temporary.stat())
            # First the record: a blob that is the user's file must never be without one.
            blobs.originals.write(digest, Original(str(real), before.st_size, before.st_mtime_ns))
            os.replace(temporary, target)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()  # also after the rename, which does nothing where both are one file already
        sync_folder(blobs.folder)
    return True
