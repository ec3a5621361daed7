"""`bard`: the toy model that ships inside the package, put into a store the first time an engine opens it.

Bard babbles in Shakespeare's manner and hardly heeds what it is asked; it is there so that every command works with
no download. Whoever deletes it is not given it again: a marker beside the manifests remembers.
"""

from __future__ import annotations

import logging
from importlib import resources

from ollama_engine.errors import EngineError
from ollama_engine.modelfile.layers import create_model
from ollama_engine.store.store import Store
from ollama_engine.types import CreateRequest

log = logging.getLogger(__name__)

NAME = "bard:latest"
FILE = "bard-q8_0.gguf"
PARAMETERS = {"temperature": 0.8, "top_k": 40, "repeat_penalty": 1.1}
LICENSE = "CC0-1.0. Trained on public domain plays; see docs/bard/PROVENANCE.md of ollama-tui."
MARKER = ".ollama-tui.bundled"
"""A file in the store's root; Ollama looks only into `manifests` and `blobs`."""


def install(store: Store) -> None:
    """Put bard into `store` unless that was done before. A store that cannot be written to is left as it is."""
    marker = store.root / MARKER
    try:
        if marker.exists():
            return
        if all(name.display != NAME for name in store.names()):
            with resources.as_file(resources.files("ollama_engine") / "data" / FILE) as path, store.creating():
                blob = store.blobs.add_file(path)
                request = CreateRequest(
                    model=NAME, files={FILE: str(blob.digest)}, parameters=dict(PARAMETERS), license=LICENSE
                )
                for _ in create_model(store, request):
                    pass
        marker.write_text(f"{NAME}\n", encoding="utf-8")
    except (EngineError, OSError) as error:
        log.warning("the bundled model could not be put into %s: %s", store.root, error)
