"""A store in a temporary folder, and the making of small models in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ollama_engine.store import Config, Entry, Manifest, Store
from ollama_engine.store import manifest as media


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


Make = Callable[..., Entry]


@pytest.fixture
def make(store: Store) -> Make:
    """Make a model of `weights` (and a system text), as create does."""

    def make(name: str, weights: bytes = b"weights", system: bytes = b"") -> Entry:
        with store.creating() as creation:
            layers = [store.add_layer(media.MODEL, weights)]
            if system:
                layers.append(store.add_layer(media.SYSTEM, system))
            config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_format="gguf")))
            return store.put_manifest(name, Manifest(config=config, layers=layers), creation)

    return make


def age(path: Path, seconds: float = 7200) -> None:
    """Make a file look as if last written `seconds` ago."""
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def blob_names(store: Store) -> set[str]:
    return set(os.listdir(store.blobs.folder))
