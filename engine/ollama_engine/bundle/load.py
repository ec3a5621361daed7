"""Loading: the models of a bundle into a store, read once from beginning to end.

Every blob is hashed while it is written beside its place, and named when it is what it should be; models are named
after all blobs are there. Where loading fails or is broken off, what it brought goes again, unless somebody else has
come to use it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from io import BufferedReader
from typing import Literal

from msgspec import Struct

from ollama_engine.bundle.layout import (
    BLOB_FOLDER,
    INDEX_FILE,
    LAYOUT_FILE,
    Descriptor,
    Index,
    InvalidBundle,
    read_index,
    read_layout,
)
from ollama_engine.bundle.members import Member, members
from ollama_engine.errors import DigestMismatch, InvalidName, ModelNotFound, NotFound, StoreError
from ollama_engine.store import digests
from ollama_engine.store import names as model_names
from ollama_engine.store.digests import Digest
from ollama_engine.store.lock import Creation
from ollama_engine.store.manifest import MAX_MANIFEST, Manifest, decode_manifest
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store
from ollama_engine.types import Progress

MODEL_LAYER_PREFIX = "application/vnd.ollama."
SMALL = 64 << 20
"""Bytes that are left free on the disk: a full one would stop more than this."""

_REPORT_EVERY = 16 << 20


class Loaded(Struct, frozen=True):
    """A model of the bundle. `same`: it was here already, `kept`: another of that name is here and was to stay."""

    name: str
    digest: str
    state: Literal["new", "replaced", "same", "kept"]


def load(
    store: Store, file: BufferedReader, *, name: str = "", keep: bool = False
) -> Generator[Progress | Loaded, None, None]:
    """Bring the models of a bundle into the store: progress of its blobs, then each model.

    Args:
        file: the tar file, read to its end; it need not be seekable.
        name: what to call the model, where the bundle holds one.
        keep: leave a model that is here as it is, instead of replacing it.

    Raises:
        InvalidBundle: it is no bundle, cut off, or holds what a bundle may not.
        DigestMismatch, InvalidName, StoreError (the disk has no room, or cannot be written).
    """
    brought: set[Digest] = set()
    creation = store.creating()
    try:
        index = yield from _read(store, file, brought)
        wanted = _named(index, name)
        for model, descriptor in wanted:
            _check(store, model, descriptor)
        for model, descriptor in wanted:
            yield _put(store, model, descriptor, keep=keep)
    finally:
        _tidy(store, brought, creation)


def _read(store: Store, file: BufferedReader, brought: set[Digest]) -> Generator[Progress, None, Index]:
    index: Index | None = None
    layout = False
    for member in members(file):
        if member.name == LAYOUT_FILE:
            read_layout(member.read(MAX_MANIFEST))
            layout = True
        elif member.name == INDEX_FILE:
            index = read_index(member.read(MAX_MANIFEST))
        else:
            yield from _take(store, member, brought)
    if not layout or index is None:
        missing = INDEX_FILE if layout else LAYOUT_FILE
        raise InvalidBundle(f"this is no bundle: it has no {missing}")
    return index


def _take(store: Store, member: Member, brought: set[Digest]) -> Iterator[Progress]:
    """Store a blob; one that is here in the right length is passed over."""
    digest = Digest(member.name.removeprefix(BLOB_FOLDER))
    step = Progress(f"loading {digest.short}", str(digest), member.size, 0)
    if store.blobs.reuse(digest, member.size):
        member.pass_over()
        yield Progress(f"already here {digest.short}")
        return
    _check_room(store, digest, member.size)
    with store.blobs.writer() as writer:
        told = 0
        for chunk in member.chunks():
            writer.write(chunk)
            step.completed += len(chunk)
            if step.completed - told >= _REPORT_EVERY:
                told = step.completed
                yield Progress(step.status, step.digest, step.total, step.completed)
        try:
            blob = writer.commit(digest)
        except DigestMismatch as error:
            raise DigestMismatch(
                f"blob {digest} of the bundle is not what its name says",
                hint="The file was damaged on its way: copy it again.",
            ) from error
    if blob.new:
        brought.add(digest)
    yield Progress(step.status, step.digest, step.total, step.total)


def _check_room(store: Store, digest: Digest, size: int) -> None:
    free = store.free_bytes()
    if size + SMALL > free:
        raise StoreError(
            f"no room for blob {digest} of the bundle: it has {size} bytes, and {store.root} has {free} bytes free",
            hint="Free disk space (remove models, prune), or set OLLAMA_MODELS to a larger disk.",
        )


def _named(index: Index, name: str) -> list[tuple[ModelName, Descriptor]]:
    """Which model gets which name. Names that differ only in case are one: InvalidBundle."""
    if name and len(index.manifests) > 1:
        raise InvalidName(f"the bundle holds {len(index.manifests)} models, which cannot all be called '{name}'")
    found: dict[str, tuple[ModelName, Descriptor]] = {}
    for descriptor in index.manifests:
        said = name or descriptor.name
        if not said:
            raise InvalidBundle("the bundle does not say what its model is called", hint="Say it with --name NAME.")
        try:
            model = model_names.parse(said)
        except InvalidName as error:
            raise InvalidBundle(f"the bundle holds a model that cannot be called so: {error}") from error
        if model.key in found:
            raise InvalidBundle(f"the bundle holds two models called '{model.display}'")
        found[model.key] = model, descriptor
    return list(found.values())


def _manifest(store: Store, model: ModelName, descriptor: Descriptor) -> tuple[bytes, Manifest]:
    digest = descriptor.parsed_digest
    try:
        data = store.blobs.read(digest, MAX_MANIFEST)
    except NotFound as error:
        raise InvalidBundle(f"the manifest of '{model.display}' is not in the bundle: {digest}") from error
    if len(data) != descriptor.size or digests.of_bytes(data) != digest:
        raise InvalidBundle(f"the manifest of '{model.display}' is not what the bundle's index says")
    try:
        return data, decode_manifest(data)
    except StoreError as error:
        raise InvalidBundle(f"the manifest of '{model.display}' cannot be read: {error}") from error


def _check(store: Store, model: ModelName, descriptor: Descriptor) -> None:
    """InvalidBundle where it is not a model, or a blob of it is neither in the bundle nor here."""
    _, manifest = _manifest(store, model, descriptor)
    kinds = [layer.media_type for layer in manifest.layers]
    if kinds and not any(kind.startswith(MODEL_LAYER_PREFIX) for kind in kinds):
        raise InvalidBundle(f"'{model.display}' is not a model: it has layers of type {kinds[0][:100]!a}")
    for layer in manifest.blobs():
        found = store.blobs.size(layer.digest)
        if found is None:
            raise InvalidBundle(f"blob {layer.digest} of '{model.display}' is not in the bundle")
        if found != layer.size:
            raise InvalidBundle(
                f"blob {layer.digest} of '{model.display}' has {found} bytes, and its manifest says {layer.size}"
            )


def _put(store: Store, model: ModelName, descriptor: Descriptor, *, keep: bool) -> Loaded:
    data, _ = _manifest(store, model, descriptor)
    digest = descriptor.parsed_digest.hex
    try:
        here = store.resolve(model).digest
    except ModelNotFound:
        here = ""
    except StoreError:
        here = "broken"
    if here == digest:
        return Loaded(model.display, digest, "same")
    if here and keep:
        return Loaded(model.display, here, "kept")
    entry = store.put_manifest(model, data)
    return Loaded(entry.name.display, digest, "replaced" if here else "new")


def _tidy(store: Store, brought: set[Digest], creation: Creation) -> None:
    """End the creation. Blobs that no model uses go: the manifests, which lie elsewhere now, and all of a failure."""
    creation.close()
    store.discard(brought)
