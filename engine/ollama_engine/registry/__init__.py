"""Registries: models from and to registry.ollama.ai, Hugging Face, and any other OCI registry (spec §7).

`Registry` is the way in; `PullQueue` runs its pulls and remembers them.
"""

from __future__ import annotations

from ollama_engine.registry.config import HostConfig, RegistryConfig
from ollama_engine.registry.errors import AccessDenied, RegistryError, SourceChanged, UnsafeRedirect
from ollama_engine.registry.hugging_face import is_sharded
from ollama_engine.registry.links import Link, parse_link
from ollama_engine.registry.progress import PullProgress, PushProgress
from ollama_engine.registry.queue import PullQueue
from ollama_engine.registry.registry import Registry
from ollama_engine.registry.web_pull import Fetched
from ollama_engine.types import PullView, Update

__all__ = [
    "AccessDenied",
    "Fetched",
    "HostConfig",
    "Link",
    "PullProgress",
    "PullQueue",
    "PullView",
    "PushProgress",
    "Registry",
    "RegistryConfig",
    "RegistryError",
    "SourceChanged",
    "UnsafeRedirect",
    "Update",
    "is_sharded",
    "parse_link",
]
