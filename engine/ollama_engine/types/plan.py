"""What a model will take, and where it will lie, said before it is loaded (ours; Ollama has no such endpoint)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from ollama_engine.types.base import JSON

Fit = Literal["gpu", "partial", "cpu", "none"]
"""Whole on GPUs, partly, on the CPU alone, or not at all."""


class PlanRequest(Struct, omit_defaults=True):
    """A model to plan for, with the `options` that it would be loaded with."""

    model: str
    options: JSON | None = None


class DevicePlan(Struct, omit_defaults=True, kw_only=True):
    """What a model takes of one device. Bytes; `layers` counts the output layer as one."""

    name: str
    """As Device's: `CPU`, `CUDA0` …"""
    layers: int = 0
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    other: int = 0
    """The runner itself, its vocabulary, and results that callers read: in RAM."""
    free: int = 0
    """What the device would have free, idle models sent away for this one."""


class MemoryPlan(Struct, omit_defaults=True, kw_only=True):
    """Where a model would lie. `reason` says why it fits no better, `hint` what to do about it."""

    model: str
    fit: Fit
    context_length: int
    """Tokens of one slot."""
    slots: int
    """Requests that it answers at once."""
    layers: int = 0
    """Layers of the model, the output layer counted as one."""
    gpu_layers: int = 0
    cpu_moe: int = 0
    """Layers whose experts stay in RAM."""
    size: int = 0
    """All bytes: weights and projectors, KV cache (or recurrent state), compute buffers, the runner itself."""
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    other: int = 0
    kv_cache_type_k: str = ""
    kv_cache_type_v: str = ""
    devices: list[DevicePlan] = field(default_factory=list)
    calibrated: bool = False
    """Whether a load of this model by this build has been measured before; otherwise compute buffers are estimates."""
    loaded: bool = False
    """It is in memory, as it is told here."""
    reason: str = ""
    hint: str = ""
