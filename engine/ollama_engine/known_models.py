"""Well-known models, and whether they fit a machine before anything is downloaded.

`data/known_models.toml` is a snapshot, which the panes and the command line show; names that are not in it can be
pulled all the same. What is in the store is another room's: `catalog.py`.
"""

from __future__ import annotations

import tomllib
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ollama_engine.types import Capability, Fit

SHOWN_CONTEXT = 8192
"""Tokens of context that the memory need is told for, or the model's own context where that is shorter."""

OVERHEAD = 1.1
"""Compute buffers and what llama.cpp itself needs, beside the weights."""

HOST_SHARE = 0.8
"""Of the machine's memory, what a model may take: the system and the other programs need the rest."""

Positive = Annotated[int, Meta(gt=0)]


class KnownModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model at the registry: `parameters` in weights, `download` in bytes, `context` in tokens."""

    name: str
    parameters: Positive
    download: Positive
    context: Positive
    capabilities: list[Capability]
    licence: str
    note: str
    layers: int = 0
    kv_heads: int = 0
    head_dim: int = 0

    @property
    def memory(self) -> int:
        """Bytes that it needs to run: the weights and a tenth, and an f16 KV cache for SHOWN_CONTEXT tokens.

        A cache cell is a key and a value of two bytes a number, for each KV head of each layer. Models with sliding
        windows need less. Where the shape is not given the cache is not counted.
        """
        cell = 2 * 2 * self.layers * self.kv_heads * self.head_dim
        return round(self.download * OVERHEAD) + min(SHOWN_CONTEXT, self.context) * cell


class KnownModels(Struct, frozen=True, forbid_unknown_fields=True):
    """The catalog as it was on the day `snapshot`."""

    snapshot: date
    models: list[KnownModel]


class Memory(Struct, frozen=True):
    """What a machine has, in bytes: `host` its RAM, `device` that of its largest GPU (0: none)."""

    host: int
    device: int = 0


@lru_cache(maxsize=1)
def known_models() -> KnownModels:
    """The catalog that comes with this version."""
    text = files("ollama_engine").joinpath("data/known_models.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), KnownModels)


def search(words: str = "") -> list[KnownModel]:
    """The models that have all of `words` in their name, capabilities, licence or note, whatever the case."""
    wanted = words.lower().split()
    return [model for model in known_models().models if all(word in _text(model) for word in wanted)]


def fits(model: KnownModel, memory: Memory) -> Fit:
    """Where the model would run: whole on the GPU, partly there, on the CPU, or not at all."""
    host = round(memory.host * HOST_SHARE)
    if model.memory <= memory.device:
        return "gpu"
    if memory.device and model.memory <= memory.device + host:
        return "partial"
    return "cpu" if model.memory <= host else "none"


def machine_memory() -> Memory:
    """What this machine has. NVIDIA's devices are known without loading llama.cpp; of others nothing is known here."""
    import psutil

    return Memory(psutil.virtual_memory().total, _largest_nvidia_device())


def _largest_nvidia_device() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return max((int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles), default=0)
    except pynvml.NVMLError:
        return 0
    finally:
        pynvml.nvmlShutdown()


def _text(model: KnownModel) -> str:
    return " ".join((model.name, *model.capabilities, model.licence, model.note)).lower()
