"""The model store: Ollama's folder of manifests and content-addressed blobs (spec §6).

`Store` is the way in; `open_model` gives what the engine needs to run a model. All work is synchronous file
work: callers on an event loop use `asyncio.to_thread`.
"""

from __future__ import annotations

from ollama_engine.store.blobs import Blob, BlobStore, read_chunks
from ollama_engine.store.digests import Digest
from ollama_engine.store.lock import Creation
from ollama_engine.store.manifest import Config, Layer, Manifest
from ollama_engine.store.model import Model, open_model
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Entry, Store

__all__ = [
    "Blob",
    "BlobStore",
    "Config",
    "Creation",
    "Digest",
    "Entry",
    "Layer",
    "Manifest",
    "Model",
    "ModelName",
    "Store",
    "open_model",
    "read_chunks",
]
