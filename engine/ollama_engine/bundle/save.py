"""Saving: models of a store as the bytes of a tar file, streamed; nothing is copied first.

The same models give the same bytes: members in one order, no times, no owners. Manifests go out as they lie in the
store, so that their digests, and the models' ids, are the same wherever they are loaded.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from ollama_engine.bundle.layout import (
    BLOB_FOLDER,
    INDEX_FILE,
    LAYOUT_FILE,
    REF_NAME,
    Descriptor,
    Index,
    Layout,
)
from ollama_engine.errors import InvalidRequest, NotFound, StoreError
from ollama_engine.store.blobs import CHUNK
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import storing
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store

_END = bytes(2 * tarfile.BLOCKSIZE)


class SavePlan(Struct, frozen=True):
    """What a bundle will hold: `files` are its small members by name, `blobs` the others with their sizes."""

    store: Store
    names: list[ModelName]
    files: dict[str, bytes]
    blobs: dict[Digest, int]

    @property
    def size(self) -> int:
        """Bytes of the whole tar file."""
        members = [(name, len(data)) for name, data in self.files.items()]
        members += [(_blob_member(digest), size) for digest, size in self.blobs.items()]
        return sum(len(_header(name, size)) + size + len(_padding(size)) for name, size in members) + len(_END)

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the tar file, in order. StoreError where a blob is gone or not what its name says."""
        for name, data in self.files.items():
            yield _header(name, len(data))
            yield data + _padding(len(data))
        for digest, size in self.blobs.items():
            yield _header(_blob_member(digest), size)
            yield from self._blob(digest, size)
            yield _padding(size)
        yield _END

    def _blob(self, digest: Digest, size: int) -> Iterator[bytes]:
        """The blob's bytes, hashed on the way: a bundle that ends well has no spoilt blob in it."""
        path = self.store.blobs.path(digest)
        hashed, left = hashlib.sha256(), size
        try:
            with self.store.blobs.open(digest) as file:
                while left:
                    with storing("read", path):
                        chunk = file.read(min(CHUNK, left))
                    if not chunk:
                        break
                    hashed.update(chunk)
                    left -= len(chunk)
                    yield chunk
        except NotFound as error:
            raise _spoilt(digest, "is gone") from error
        if left or hashed.hexdigest() != digest.hex:
            raise _spoilt(digest, "is not what its name says")


def plan_save(store: Store, names: Sequence[str | ModelName]) -> SavePlan:
    """Everything that a bundle of these models needs, each blob once; their order does not matter.

    ModelNotFound, InvalidName; StoreError where a blob is missing or has the wrong size.
    """
    if not names:
        raise InvalidRequest("there is no model to save", hint="Name one or more; see them with: ollama-tui list")
    entries = {entry.name.full: entry for entry in map(store.resolve, names)}
    described: list[Descriptor] = []
    manifests: dict[str, bytes] = {}
    blobs: dict[Digest, int] = {}
    for full, entry in sorted(entries.items()):
        data = store.manifest_bytes(entry)
        digest = Digest(entry.digest)
        manifests[_blob_member(digest)] = data
        described.append(
            Descriptor(
                media_type=entry.manifest.media_type,
                digest=str(digest),
                size=len(data),
                annotations={REF_NAME: full},
            )
        )
        for layer in entry.manifest.blobs():
            if not store.blobs.exists(layer.digest, layer.size):
                raise StoreError(
                    f"blob {layer.digest} of model '{entry.name.display}' is missing or has the wrong size",
                    hint=f"Pull or create {entry.name.display} again.",
                )
            blobs[Digest(layer.digest.removeprefix("sha256:"))] = layer.size
    files = {
        LAYOUT_FILE: msgspec.json.encode(Layout()),
        INDEX_FILE: msgspec.json.encode(Index(manifests=described)),
        **manifests,
    }
    return SavePlan(store, [entry.name for _, entry in sorted(entries.items())], files, blobs)


def _blob_member(digest: Digest) -> str:
    return f"{BLOB_FOLDER}{digest.hex}"


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _spoilt(digest: Digest, what: str) -> StoreError:
    return StoreError(
        f"blob {digest} {what}; the bundle is not whole", hint="Pull or create its model again, and save it then."
    )
