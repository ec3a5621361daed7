"""Bundles: models of a store as one tar file, for machines without a network.

A bundle is an OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/…`), so what other tools make of models with
Ollama's media types loads too. `plan_save` and `load` work on a `Store`, synchronously, and stream both ways.
"""

from __future__ import annotations

from ollama_engine.bundle.layout import InvalidBundle
from ollama_engine.bundle.load import Loaded, load
from ollama_engine.bundle.save import SavePlan, plan_save

__all__ = ["InvalidBundle", "Loaded", "SavePlan", "load", "plan_save"]
