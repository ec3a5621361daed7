"""What the GGUF files of a model are for: weights (one file or shards), projectors, adapters.

The client sorts files here before it uploads gigabytes, the engine before it makes layers of them: both refuse
the same things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ollama_engine.errors import InvalidGGUF, InvalidRequest
from ollama_engine.gguf import Header, merge_shards, read_header

T = TypeVar("T")
Kind = Literal["model", "projector", "adapter"]

_PROJECTOR_ARCHITECTURES = frozenset({"clip", "mmproj"})
_NOT_GGUF = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class Ingredients:
    """The names of the files by what they are for; `model` has the shards of one model in their order.

    `header` is that of the model, its shards merged; None where there is no model among the files.
    """

    model: tuple[str, ...]
    projectors: tuple[str, ...]
    adapters: tuple[str, ...]
    header: Header | None
    headers: Mapping[str, Header]


def gguf_kind(header: Header) -> Kind:
    """What a GGUF file is for, by `general.type` and `general.architecture`."""
    if header.text("general.type") == "adapter":
        return "adapter"
    if header.text("general.type") in _PROJECTOR_ARCHITECTURES:
        return "projector"
    return "projector" if header.text("general.architecture") in _PROJECTOR_ARCHITECTURES else "model"


def read_ingredients(paths: Mapping[str, Path]) -> Ingredients:
    """Sort the GGUF files at `paths` (by the names that the caller knows them by, which errors use).

    Raises:
        InvalidGGUF: a file is no GGUF file, a broken one, or shards do not belong together.
        InvalidRequest: the files are of two models.
    """
    headers = {name: _under_its_name(name, path, read_header) for name, path in paths.items()}
    kinds = {name: _kind(name, header) for name, header in headers.items()}
    model = [name for name, kind in kinds.items() if kind == "model"]
    return Ingredients(
        model=tuple(sorted(model, key=lambda name: headers[name].integer("split.no"))),
        projectors=tuple(name for name, kind in kinds.items() if kind == "projector"),
        adapters=tuple(name for name, kind in kinds.items() if kind == "adapter"),
        header=_model_header(model, headers),
        headers=headers,
    )


def _kind(name: str, header: Header) -> Kind:
    return _under_its_name(name, header.path, lambda _: gguf_kind(header))


def _model_header(model: list[str], headers: Mapping[str, Header]) -> Header | None:
    if not model:
        return None
    whole = [name for name in model if headers[name].integer("split.count", 1) <= 1]
    if len(model) > 1 and whole:
        raise InvalidRequest(
            f"these are files of more than one model: {', '.join(model)}",
            hint="Name one of them in FROM (with its projector, if it has one).",
        )
    ordered = sorted((headers[name] for name in model), key=lambda header: header.integer("split.no"))
    try:
        merged = merge_shards(ordered)
    except InvalidGGUF as error:
        message = error.message
        for name in model:
            message = message.replace(headers[name].path.name, name)
        raise InvalidGGUF(message, hint=error.hint) from error
    if not merged.tensors:
        raise InvalidGGUF(f"{model[0]} has no weights, only a vocabulary", hint="Name the file of a whole model.")
    return merged


def _under_its_name(name: str, path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the file; its complaints say `name` where they would say how the file is stored."""
    try:
        return read(path)
    except InvalidGGUF as error:
        if name.lower().endswith(_NOT_GGUF):
            raise InvalidRequest(
                f"{name} is not in GGUF format",
                hint="Convert the model with llama.cpp's convert_hf_to_gguf.py, and name the .gguf file.",
            ) from error
        message = error.message.replace(path.name, name)
        if "is not a GGUF file" in message:
            message = f"supplied file was not in GGUF format: {message}"
        raise InvalidGGUF(message, hint=error.hint) from error
