"""What a create request must have right before anything is made of it: names, files, and whether they go together.

`layers.create_model` begins here, and so does a quantization, which takes minutes and must not end in a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_engine.errors import InvalidRequest, TemplateError
from ollama_engine.gguf import Header, ModelMetadata, model_metadata
from ollama_engine.modelfile.adapters import check_adapter, check_scales
from ollama_engine.modelfile.checks import check_request, checked_parameters
from ollama_engine.modelfile.ingredients import Ingredients, read_ingredients
from ollama_engine.prompt.go_template import GoTemplate
from ollama_engine.prompt.presets import find_preset
from ollama_engine.store import Model, Store, names, open_model
from ollama_engine.store.names import ModelName
from ollama_engine.types import CreateRequest


@dataclass(frozen=True)
class Prepared:
    """A create request that can be carried out.

    `base` is the model that it builds on, None where `ingredients` has the weights. `header` and `metadata` are those
    of the weights, new or inherited. `draft` are the new draft files, none of them where there is no DRAFT.
    """

    request: CreateRequest
    name: ModelName
    parameters: dict[str, Any]
    base: Model | None
    ingredients: Ingredients
    draft: Ingredients
    header: Header
    metadata: ModelMetadata


def check(request: CreateRequest) -> None:
    """Raise InvalidRequest for what is wrong with the request itself, whatever the store holds."""
    names.parse(request.model)
    check_request(request)
    checked_parameters(request.parameters)
    _check_template(request.template)
    find_preset(request.preset)


def prepare(store: Store, request: CreateRequest) -> Prepared:
    """Check `request` and read the headers of its files; nothing is written but the time of blobs that are used.

    Raises:
        InvalidRequest: InvalidName, InvalidDigest, InvalidGGUF, TemplateError and others that name what is wrong.
        ModelNotFound: there is no model `request.from_`.
        StoreError: the disk, or a blob that is missing.
    """
    check(request)
    name, parameters = names.parse(request.model), checked_parameters(request.parameters)
    base = _base(store, request.from_) if request.from_ else None
    ingredients = read_ingredients(_blob_paths(store, {**(request.files or {}), **(request.adapters or {})}))
    draft = read_ingredients(_blob_paths(store, request.draft_files or {}))
    _check_ingredients(ingredients, request, base)
    _check_draft(draft)
    header = _header(ingredients, base)
    metadata = model_metadata(header)
    for adapter in ingredients.adapters:
        check_adapter(adapter, ingredients.headers[adapter], header)
    _check_scales(parameters, ingredients, base)
    return Prepared(request, name, parameters, base, ingredients, draft, header, metadata)


def _check_template(template: str) -> None:
    try:
        GoTemplate(template)
    except TemplateError as error:
        message = error.message if error.message.startswith("template error") else f"template error: {error.message}"
        raise TemplateError(message, hint=error.hint or "A TEMPLATE is written in Go's template language.") from error


def _base(store: Store, name: str) -> Model:
    base = open_model(store, name)
    if base.config.remote_host or base.config.model_format not in ("", "gguf") or not base.model_paths:
        raise InvalidRequest(
            f"model '{name}' has no GGUF weights to build on",
            hint="Build on a GGUF model: safetensors and cloud models do not run here.",
        )
    return base


def _blob_paths(store: Store, files: Mapping[str, str]) -> dict[str, Path]:
    for name, digest in files.items():
        if not store.blobs.reuse(digest):
            raise InvalidRequest(
                f"file {name} is not on the server: there is no blob {digest}",
                hint=f"Send its bytes to POST /api/blobs/{digest} first.",
            )
    return {name: store.blobs.path(digest) for name, digest in files.items()}


def _check_ingredients(ingredients: Ingredients, request: CreateRequest, base: Model | None) -> None:
    for name in request.adapters or {}:
        if name not in ingredients.adapters:
            raise InvalidRequest(
                f"{name} is not an adapter (LoRA) but a {_role(ingredients, name)}",
                hint="Convert the adapter with llama.cpp's convert_lora_to_gguf.py, or name the file in FROM.",
            )
    if base is None and ingredients.header is None:
        raise InvalidRequest(
            f"no model among the files: {', '.join(ingredients.headers)}",
            hint="A projector or an adapter needs a model to go with: name it in FROM.",
        )
    if base is not None and ingredients.model:
        raise InvalidRequest(
            f"both the model '{request.from_}' and the weights {', '.join(ingredients.model)} were given",
            hint="Build on one of them.",
        )


def _check_draft(draft: Ingredients) -> None:
    for name in (*draft.projectors, *draft.adapters):
        raise InvalidRequest(
            f"the draft {name} is no model but {'a projector' if name in draft.projectors else 'an adapter'}",
            hint="A DRAFT is a small model with the vocabulary of the large one.",
        )


def _check_scales(parameters: Mapping[str, Any], ingredients: Ingredients, base: Model | None) -> None:
    adapters = len(ingredients.adapters) or (len(base.adapter_paths) if base else 0)
    check_scales(parameters.get("adapter_scale") or (), adapters)


def _role(ingredients: Ingredients, name: str) -> str:
    return "projector" if name in ingredients.projectors else "model"


def _header(ingredients: Ingredients, base: Model | None) -> Header:
    if ingredients.header is not None:
        return ingredients.header
    assert base is not None  # _check_ingredients has seen to it
    header = read_ingredients({f"{base.name.display} ({p.name})": p for p in base.model_paths}).header
    if header is None:
        raise InvalidRequest(f"model '{base.name.display}' has no weights to build on", hint="Pull or create it again.")
    return header
