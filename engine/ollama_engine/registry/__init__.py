"""Registries: models from and to registry.ollama.ai, Hugging Face, and any other OCI registry (spec §7).

`Registry` is the way in.
"""

from __future__ import annotations

from ollama_engine.registry.config import HostConfig, RegistryConfig
from ollama_engine.registry.errors import AccessDenied, RegistryError, UnsafeRedirect
from ollama_engine.registry.progress import PullProgress, PushProgress
from ollama_engine.registry.registry import Registry

__all__ = [
    "AccessDenied",
    "HostConfig",
    "PullProgress",
    "PushProgress",
    "Registry",
    "RegistryConfig",
    "RegistryError",
    "UnsafeRedirect",
]
