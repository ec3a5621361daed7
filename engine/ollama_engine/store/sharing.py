"""The blobs of a model, and who else uses them: what a delete would free."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

from ollama_engine.store import manifest as media
from ollama_engine.store.collect import freed_bytes
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store
from ollama_engine.types import LayerView


def layers(store: Store, name: str | ModelName) -> list[LayerView]:
    """The layers in their order, then the config; ModelNotFound, InvalidName, StoreError."""
    entry = store.resolve(name)
    users: dict[str, list[str]] = defaultdict(list)
    for other in store.list():
        if other.name != entry.name:
            for digest in {blob.digest for blob in other.manifest.blobs()}:
                users[digest].append(other.name.display)
    kept = bool(store.unreadable())  # while a manifest cannot be read, a delete removes no blob
    return [
        LayerView(
            digest=layer.digest,
            kind="config" if layer is entry.manifest.config else layer.media_type.removeprefix(media.PREFIX),
            size=layer.size,
            frees=0 if kept else _frees(store, layer.digest),
            models=sorted(users[layer.digest]),
        )
        for layer in (*entry.manifest.layers, entry.manifest.config)
    ]


def _frees(store: Store, digest: str) -> int:
    with suppress(OSError):
        return freed_bytes(store.blobs.path(digest).lstat())
    return 0
