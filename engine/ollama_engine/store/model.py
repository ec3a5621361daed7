"""A model opened: what its layers say, and where the files lie that llama.cpp loads (spec §6).

The engine opens a model for `show` and before it runs one; nothing of the weights is read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from ollama_engine.errors import StoreError
from ollama_engine.store import manifest as media
from ollama_engine.store.blobs import MAX_SMALL_BLOB
from ollama_engine.store.manifest import Config, Layer, Manifest
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store
from ollama_engine.types import Message


class Model(Struct, frozen=True, kw_only=True):
    """Everything a manifest refers to, small layers read, large ones as paths.

    `model_paths` holds the shards of one model in their order; `parent` is the model or file that it was made
    from.
    """

    name: ModelName
    manifest: Manifest
    digest: str
    size: int
    modified_at: str
    config: Config
    parent: str = ""
    model_paths: list[Path] = field(default_factory=list)
    projector_paths: list[Path] = field(default_factory=list)
    adapter_paths: list[Path] = field(default_factory=list)
    draft_paths: list[Path] = field(default_factory=list)
    template: str | None = None
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    licenses: list[str] = field(default_factory=list)


def open_model(store: Store, name: str | ModelName) -> Model:
    """The model of that name with its small layers read.

    ModelNotFound, InvalidName; StoreError names a blob that is missing, too large or not what its layer says.
    Where a layer that can be had once comes twice, the last one counts; parameters are merged.
    """
    entry = store.resolve(name)
    reader = _LayerReader(store, entry.name)
    layers = entry.manifest.layers
    parameters: dict[str, Any] = {}
    for layer in _of(layers, media.PARAMS):
        parameters |= reader.convert(layer, dict[str, Any])
    messages = _last(layers, media.MESSAGES)
    template = _last(layers, media.TEMPLATE, media.PROMPT)
    system = _last(layers, media.SYSTEM)
    weights = _of(layers, media.MODEL)
    return Model(
        name=entry.name,
        manifest=entry.manifest,
        digest=entry.digest,
        size=entry.size,
        modified_at=entry.modified_at,
        config=store.config(entry),
        parent=next((layer.from_ for layer in weights if layer.from_), ""),
        model_paths=[store.layer_path(entry.name, layer) for layer in weights],
        projector_paths=[store.layer_path(entry.name, layer) for layer in _of(layers, media.PROJECTOR)],
        adapter_paths=[store.layer_path(entry.name, layer) for layer in _of(layers, media.ADAPTER)],
        draft_paths=[store.layer_path(entry.name, layer) for layer in _of(layers, media.DRAFT)],
        template=reader.text(template) if template else None,
        system=reader.text(system) if system else None,
        parameters=parameters,
        messages=reader.convert(messages, list[Message]) if messages else [],
        licenses=[reader.text(layer) for layer in _of(layers, media.LICENSE)],
    )


class _LayerReader:
    def __init__(self, store: Store, name: ModelName) -> None:
        self._store = store
        self._name = name

    def text(self, layer: Layer) -> str:
        data = self._store.read_layer(self._name, layer, MAX_SMALL_BLOB)
        return data.decode("utf-8", errors="replace")

    def convert(self, layer: Layer, kind: Any) -> Any:
        """The layer's JSON as `kind`; one that says `null` is an empty one, as in Go."""
        data = self._store.read_layer(self._name, layer, MAX_SMALL_BLOB)
        try:
            value = msgspec.json.decode(data)
            return kind() if value is None else msgspec.convert(value, kind)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            what = layer.media_type.rpartition(".")[2]
            raise StoreError(
                f"the {what} layer of model '{self._name.display}' is broken: {error}",
                hint=f"Pull or create {self._name.display} again.",
            ) from error


def _of(layers: list[Layer], *kinds: str) -> list[Layer]:
    return [layer for layer in layers if layer.media_type in kinds]


def _last(layers: list[Layer], *kinds: str) -> Layer | None:
    return next(iter(reversed(_of(layers, *kinds))), None)
