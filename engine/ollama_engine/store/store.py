"""The store: models by name, made of manifests and blobs in one folder, shared with Ollama itself (spec §6).

Every change is made under a lock between processes and by renaming whole files, so a crash or two programs at
once never leave half of anything. Reading takes no lock and writes nothing: a read-only store can be listed
and run from. Synchronous; callers on an event loop use `asyncio.to_thread`.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from ollama_engine.errors import ModelNotFound, StoreError
from ollama_engine.store import names as model_names
from ollama_engine.store.blobs import BlobStore
from ollama_engine.store.collect import collect, prune, references
from ollama_engine.store.digests import Digest
from ollama_engine.store.lock import Creation, StoreLock
from ollama_engine.store.manifest import (
    MAX_MANIFEST,
    Config,
    Layer,
    Manifest,
    decode_config,
    decode_manifest,
    encode_manifest,
)
from ollama_engine.store.names import ModelName
from ollama_engine.store.tree import ManifestTree
from ollama_engine.types import PruneReport


class Entry(Struct, frozen=True):
    """A model in the store. `digest` is the bare hex sha256 of the manifest file, `modified_ns` its mtime."""

    name: ModelName
    manifest: Manifest
    digest: str
    modified_ns: int

    @property
    def size(self) -> int:
        """Bytes of all layers and the config, as the manifest declares them."""
        return self.manifest.size

    @property
    def modified_at(self) -> str:
        """RFC 3339 with the local offset and up to nine digits of a second (spec §0)."""
        seconds, nanoseconds = divmod(self.modified_ns, 1_000_000_000)
        moment = datetime.fromtimestamp(seconds).astimezone()
        fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
        offset = f"{moment:%z}"
        zone = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
        return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


class Store:
    """The models below `root` (`manifests/` and `blobs/`, made when first written to).

    Names are given as text, with Ollama's defaults for what is left out, or as ModelNames; text that is no
    name is InvalidName, a failing disk is StoreError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = StoreLock(root)
        self._tree = ManifestTree(root / "manifests")
        self.blobs = BlobStore(root / "blobs", self._lock)

    def names(self) -> list[ModelName]:
        """Every name that a manifest lies at, sorted; whether it can be read is not looked at."""
        return self._tree.names()

    def list(self) -> list[Entry]:
        """All models that can be read, newest first; what cannot is passed over with a warning in the log."""
        entries: list[Entry] = []
        for name in self._tree.names():
            try:
                entries.append(self._entry(name))
            except FileNotFoundError:
                continue  # removed while we looked
            except StoreError as error:
                self._tree.warn(self._tree.path(name), error)
        return sorted(entries, key=lambda entry: -(entry.modified_ns // 1_000_000_000))

    def resolve(self, name: str | ModelName) -> Entry:
        """The model of that name, whatever its case (the exact one first); ModelNotFound."""
        found = self._tree.find(_name(name))
        if found is None:
            raise _not_found(name)
        try:
            return self._entry(found)
        except FileNotFoundError:
            raise _not_found(name) from None
        except StoreError as error:
            raise StoreError(
                f"model '{found.display}' cannot be read: {error}",
                hint=f"Remove it ({found.display}) and pull or create it again.",
            ) from error

    def config(self, entry: Entry) -> Config:
        """The config blob of a model. StoreError where it is missing or broken."""
        return decode_config(self.read_layer(entry.name, entry.manifest.config, MAX_MANIFEST))

    def read_layer(self, name: ModelName, layer: Layer, limit: int) -> bytes:
        """The bytes of a small layer of the model `name`; StoreError where it is missing or beyond `limit`."""
        self.layer_path(name, layer)
        return self.blobs.read(layer.digest, limit)

    def layer_path(self, name: ModelName, layer: Layer) -> Path:
        """Where a layer of the model `name` lies; StoreError where its blob is missing."""
        if not self.blobs.exists(layer.digest):
            raise StoreError(
                f"blob {layer.digest} of model '{name.display}' is missing",
                hint=f"Pull or create {name.display} again.",
            )
        return self.blobs.path(layer.digest)

    def add_layer(self, media_type: str, data: bytes) -> Layer:
        """Store a small layer."""
        blob = self.blobs.add_bytes(data)
        return Layer(media_type=media_type, digest=str(blob.digest), size=blob.size)

    def creating(self) -> Creation:
        """Begin making a model: a context manager to hold from the first blob until put_manifest.

        While one is held, in any process, no blob younger than an hour is collected, so the blobs of a model
        that has no manifest yet are safe from others who delete theirs.
        """
        return self._lock.creating()

    def put_manifest(
        self, name: str | ModelName, manifest: Manifest | bytes, creation: Creation | None = None
    ) -> Entry:
        """Make `name` mean `manifest` (bytes are kept as they are), and drop what only its old manifest used.

        The name takes the case that it, or the folders above it, have on disk. All blobs must be there:
        StoreError names one that is not. `creation` ends here.
        """
        data = manifest if isinstance(manifest, bytes) else encode_manifest(manifest)
        decoded = decode_manifest(data)
        with self._lock.exclusive():
            target = self._tree.recased(_name(name))
            for layer in decoded.blobs():
                self.layer_path(target, layer)
            replaced, since = self._candidates(target)
            self._tree.write(target, data)
            if creation is not None:
                creation.close()
            collect(self.blobs, self._tree, self._lock, replaced - decoded.digests(), since)
            return self._entry(target)

    def copy(self, source: str | ModelName, destination: str | ModelName) -> Entry:
        """Give a model a second name, overwriting what had that name; ModelNotFound. No blob is copied."""
        wanted = _name(destination)
        with self._lock.exclusive():
            found = self._tree.find(_name(source))
            target = self._tree.recased(wanted)
            if found is None:
                raise ModelNotFound(str(source), f'model "{source}" not found')
            if found == target:
                return self.resolve(found)
            data, _ = self._tree.read(found)
            kept = decode_manifest(data).digests()
            replaced, since = self._candidates(target)
            self._tree.write(target, data)
            collect(self.blobs, self._tree, self._lock, replaced - kept, since)
            return self._entry(target)

    def delete(self, name: str | ModelName) -> PruneReport:
        """Remove a name, and at once the blobs that nothing else uses; ModelNotFound.

        Works on a model whose manifest is broken too (its blobs then wait for prune).
        """
        with self._lock.exclusive():
            found = self._tree.find(_name(name))
            if found is None:
                raise _not_found(name)
            candidates, since = self._candidates(found)
            self._tree.remove(found)
            return collect(self.blobs, self._tree, self._lock, candidates, since)

    def discard(self, candidates: set[Digest]) -> PruneReport:
        """Remove blobs that their writer gives up, but those that a model uses or that somebody may be about to use."""
        with self._lock.exclusive():
            return collect(self.blobs, self._tree, self._lock, candidates, time.time_ns())

    def manifest_bytes(self, entry: Entry) -> bytes:
        """The manifest as it lies in the store, byte for byte. StoreError where it is not `entry`'s any more."""
        try:
            data, _ = self._tree.read(entry.name)
        except FileNotFoundError:
            data = b""
        if hashlib.sha256(data).hexdigest() != entry.digest:
            raise StoreError(f"model '{entry.name.display}' was changed meanwhile", hint="Try again.")
        return data

    def prune(self, older_than: float = 3600, dry_run: bool = False, partials: bool = False) -> PruneReport:
        """Remove what no model uses and a crash left: see collect.prune."""
        return prune(self.blobs, self._tree, self._lock, older_than, dry_run=dry_run, partials=partials)

    def unreadable(self) -> list[str]:
        """Names whose manifest cannot be read; while there is one, no orphaned blob is removed."""
        return references(self._tree).unreadable

    def free_bytes(self) -> int:
        """Bytes free on the disk that the store lies on, or will lie on."""
        folder = self.root.absolute()
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _entry(self, name: ModelName) -> Entry:
        data, status = self._tree.read(name)
        manifest = decode_manifest(data)
        return Entry(name, manifest, hashlib.sha256(data).hexdigest(), status.st_mtime_ns)

    def _candidates(self, name: ModelName) -> tuple[set[Digest], int]:
        """The digests that the manifest of `name` uses, and its mtime; none where it is not there or is broken."""
        try:
            data, status = self._tree.read(name)
            return decode_manifest(data).digests(), status.st_mtime_ns
        except (FileNotFoundError, StoreError):
            return set(), 0


def _name(name: str | ModelName) -> ModelName:
    return model_names.parse(name) if isinstance(name, str) else name


def _not_found(name: str | ModelName) -> ModelNotFound:
    return ModelNotFound(str(name), hint="See the models that are here with list, or pull it first.")
