"""`model_info` and `tensors` of `/api/show`: a GGUF header as JSON (spec §1.7)."""

from __future__ import annotations

import math

from ollama_engine.gguf.header import ArrayRef, Header, Scalar
from ollama_engine.gguf.metadata import CHAT_TEMPLATE
from ollama_engine.types import JSON, TensorInfo

SHOWN_ENTRIES = 5
"""A longer list is shown as [] unless everything is asked for."""

_LEFT_OUT = frozenset({"general.name", CHAT_TEMPLATE})


def model_info(header: Header, *, verbose: bool = False) -> JSON:
    """The metadata, keys sorted as Ollama's JSON has them, with the parameter count that Ollama adds.

    The shards' own bookkeeping (`split.*`) is left out: they are one model. Infinities and NaN, which JSON cannot
    say, are null.

    Raises:
        InvalidGGUF: verbose, and a list is too long to read or broken.
    """
    info: JSON = {"general.parameter_count": sum(tensor.elements for tensor in header.tensors)}
    for key, value in header.metadata.items():
        if key in _LEFT_OUT or key.startswith("split."):
            continue
        if not isinstance(value, ArrayRef):
            info[key] = _plain(value)
        elif verbose or value.count <= SHOWN_ENTRIES:
            info[key] = [_plain(entry) for entry in header.array(key)]
        else:
            info[key] = []
    return dict(sorted(info.items()))


def tensor_infos(header: Header) -> list[TensorInfo]:
    """Every tensor in the file's order; shapes are ggml's, row length first."""
    return [TensorInfo(tensor.name, tensor.type, list(tensor.shape)) for tensor in header.tensors]


def _plain(value: Scalar) -> Scalar | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
