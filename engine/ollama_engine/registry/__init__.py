"""Registries: models from and to registry.ollama.ai, Hugging Face, and any other OCI registry (spec §7).

`Registry` is the way in; `PullQueue` runs its pulls and remembers them.
"""

from __future__ import annotations

from ollama_engine.registry.config import HostConfig, RegistryConfig
from ollama_engine.registry.errors import AccessDenied, RegistryError, UnsafeRedirect
from ollama_engine.registry.progress import PullProgress, PushProgress
from ollama_engine.registry.queue import PullQueue, PullView
from ollama_engine.registry.registry import Registry
from ollama_engine.types import Update

__all__ = [
    "AccessDenied",
    "HostConfig",
    "PullProgress",
    "PullQueue",
    "PullView",
    "PushProgress",
    "Registry",
    "RegistryConfig",
    "RegistryError",
    "UnsafeRedirect",
    "Update",
]
