"""Stores to save from and load into, and bundles made by hand, whole or hostile."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from ollama_engine.bundle import Loaded, load, plan_save
from ollama_engine.bundle.layout import REF_NAME
from ollama_engine.store import Config, Manifest, Store
from ollama_engine.store import manifest as media

WEIGHTS = bytes(range(256)) * 5000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "other")


def make(store: Store, name: str, weights: bytes = WEIGHTS, system: bytes = b"Be brief.") -> None:
    with store.creating() as creation:
        layers = [store.add_layer(media.MODEL, weights), store.add_layer(media.SYSTEM, system)]
        config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_format="gguf")))
        store.put_manifest(name, Manifest(config=config, layers=layers), creation)


def saved(store: Store, *names: str) -> bytes:
    return b"".join(plan_save(store, names).chunks())


def loaded(store: Store, data: bytes, **options: object) -> list[Loaded]:
    file = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
    return [step for step in load(store, file, **options) if isinstance(step, Loaded)]  # type: ignore[arg-type]


def files_of(store: Store) -> dict[str, bytes]:
    """Every file of a store but its locks, and what is in it."""
    paths = (path for path in store.root.rglob("*") if path.is_file() and not path.name.startswith(".ollama-tui."))
    return {str(path.relative_to(store.root)): path.read_bytes() for path in paths}


class Bundle:
    """A bundle by hand: `members` are written as they are, in their order."""

    def __init__(self) -> None:
        self.members: list[tuple[tarfile.TarInfo, bytes]] = []

    def add(self, name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> None:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.size = len(data) if size is None else size
        self.members.append((info, data))

    def add_blob(self, data: bytes) -> media.Layer:
        digest = hashlib.sha256(data).hexdigest()
        self.add(f"blobs/sha256/{digest}", data)
        return media.Layer(media_type=media.MODEL, digest=f"sha256:{digest}", size=len(data))

    def add_layout(self) -> None:
        self.add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')

    def add_index(self, *models: tuple[str, media.Layer], **annotations: str) -> None:
        manifests = [
            {
                "mediaType": media.MANIFEST_TYPE,
                "digest": layer.digest,
                "size": layer.size,
                "annotations": {REF_NAME: name, **annotations},
            }
            for name, layer in models
        ]
        self.add("index.json", msgspec.json.encode({"schemaVersion": 2, "manifests": manifests}))

    def add_model(self, weights: bytes = b"weights", *, media_type: str = media.MODEL) -> media.Layer:
        """The blobs and the manifest of a model; the manifest's descriptor."""
        layer = msgspec.structs.replace(self.add_blob(weights), media_type=media_type)
        config = msgspec.structs.replace(self.add_blob(b"{}"), media_type=media.CONFIG_TYPE)
        return self.add_blob(media.encode_manifest(Manifest(config=config, layers=[layer])))

    def bytes(self, *, end: bool = True) -> bytes:
        parts = [
            info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE) for info, data in self.members
        ]
        return b"".join(parts) + (bytes(1024) if end else b"")
