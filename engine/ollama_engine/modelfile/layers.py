"""Makes a model of a create request: the server's side of `create` (spec §1.9).

GGUF files become layers as they are: the digest of a layer is the digest of the file that was uploaded, nothing is
converted or written twice, and the shards of a split model stay shards, one layer each. What the request does not
say is inherited from the model it builds on. `LocalEngine.create` runs this in a thread.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ollama_engine.errors import InvalidRequest, TemplateError
from ollama_engine.gguf import ModelMetadata, model_metadata
from ollama_engine.gguf.capabilities import projector_senses
from ollama_engine.modelfile.checks import check_request, checked_parameters
from ollama_engine.modelfile.ingredients import Ingredients, read_ingredients
from ollama_engine.modelfile.render import parameters_text, render_modelfile
from ollama_engine.prompt.go_template import GoTemplate
from ollama_engine.store import Config, Layer, Manifest, Model, Store, digests, names, open_model
from ollama_engine.store import manifest as media
from ollama_engine.types import CreateRequest, Progress

__all__ = ["create_model", "parameters_text", "render_modelfile"]


def create_model(store: Store, request: CreateRequest) -> Generator[Progress, None, None]:
    """Make the model `request.model`, step by step; closing the iterator before its end leaves no model.

    The model that `request.from_` names must be in the store: to pull it first is the engine's part.

    Raises:
        InvalidRequest: InvalidName, InvalidDigest, InvalidGGUF, TemplateError and others that name what is wrong.
        ModelNotFound: there is no model `request.from_`.
        StoreError: the disk, or a blob that is missing.
    """
    name = names.parse(request.model)
    check_request(request)
    parameters = checked_parameters(request.parameters)
    _check_template(request.template)
    with store.creating() as creation:
        base = _base(store, request.from_) if request.from_ else None
        paths = _blob_paths(store, {**(request.files or {}), **(request.adapters or {})})
        if paths:
            yield Progress(status="parsing GGUF")
        ingredients = read_ingredients(paths)
        _check_ingredients(ingredients, request, base)
        metadata = _metadata(ingredients, base)
        layers = _weights(store, request, ingredients, base)
        for layer in layers:
            store.blobs.reuse(layer.digest)
            yield Progress(status=f"using existing layer {layer.digest}")
        layers += yield from _words(store, request, parameters, base)
        config = store.add_layer(media.CONFIG_TYPE, media.encode_config(_config(request, ingredients, metadata, base)))
        yield Progress(status="writing manifest")
        store.put_manifest(name, Manifest(config=config, layers=layers), creation)
    yield Progress(status="success")


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
    if len(ingredients.adapters) > 1:
        raise InvalidRequest("only one adapter is currently supported", hint="Merge the adapters, or give one.")
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


def _role(ingredients: Ingredients, name: str) -> str:
    return "projector" if name in ingredients.projectors else "model"


def _metadata(ingredients: Ingredients, base: Model | None) -> ModelMetadata:
    """What the weights say, new or inherited ones. InvalidGGUF; InvalidRequest where an adapter is for others."""
    if ingredients.header is not None:
        header = ingredients.header
    else:
        assert base is not None  # _check_ingredients has seen to it
        header = read_ingredients({f"{base.name.display} ({p.name})": p for p in base.model_paths}).header
        if header is None:
            raise InvalidRequest(
                f"model '{base.name.display}' has no weights to build on", hint="Pull or create it again."
            )
    metadata = model_metadata(header)
    for name in ingredients.adapters:
        architecture = ingredients.headers[name].text("general.architecture")
        if architecture != metadata.architecture:
            raise InvalidRequest(
                f"the adapter {name} is for {architecture} models, the model is of {metadata.architecture}",
                hint="Use the adapter with the model it was trained on.",
            )
    return metadata


def _weights(store: Store, request: CreateRequest, ingredients: Ingredients, base: Model | None) -> list[Layer]:
    """Model, projector and adapter layers: new ones take the place of inherited ones of their kind."""
    digest_of = {**(request.files or {}), **(request.adapters or {})}

    def made(media_type: str, files: Iterable[str]) -> list[Layer]:
        blobs = [(store.blobs.path(digest_of[file]), file) for file in files]
        return [
            Layer(
                media_type=media_type,
                digest=str(digests.parse(digest_of[file])),
                size=path.stat().st_size,
                from_=file.rpartition("/")[2],
            )
            for path, file in blobs
        ]

    def inherited(media_type: str) -> list[Layer]:
        return [] if base is None else [layer for layer in base.manifest.layers if layer.media_type == media_type]

    model = made(media.MODEL, ingredients.model) or [
        msgspec.structs.replace(layer, from_=base.name.display if base else "") for layer in inherited(media.MODEL)
    ]
    return [
        *model,
        *(made(media.PROJECTOR, ingredients.projectors) or inherited(media.PROJECTOR)),
        *(made(media.ADAPTER, ingredients.adapters) or inherited(media.ADAPTER)),
        *inherited(media.DRAFT),
    ]


def _words(
    store: Store, request: CreateRequest, parameters: dict[str, Any], base: Model | None
) -> Generator[Progress, None, list[Layer]]:
    """The layers of text and JSON: template, system, parameters, messages, licences."""
    layers: list[Layer] = []
    old = base.manifest.layers if base else []

    def new(media_type: str, data: bytes) -> Generator[Progress, None, None]:
        blob = store.blobs.add_bytes(data)
        layer = Layer(media_type=media_type, digest=str(blob.digest), size=blob.size)
        if layer.digest not in {known.digest for known in layers if known.media_type == media_type}:
            layers.append(layer)
            yield Progress(status=f"{'creating new' if blob.new else 'using existing'} layer {layer.digest}")

    def keep(*media_types: str) -> Generator[Progress, None, None]:
        for layer in (layer for layer in old if layer.media_type in media_types):
            store.blobs.reuse(layer.digest)
            layers.append(layer)
            yield Progress(status=f"using existing layer {layer.digest}")

    if request.template:
        yield from new(media.TEMPLATE, request.template.encode())
    else:
        yield from keep(media.TEMPLATE, media.PROMPT)
    if request.system:
        yield from new(media.SYSTEM, request.system.encode())
    else:
        yield from keep(media.SYSTEM)
    if parameters:
        merged = {**(base.parameters if base else {}), **parameters}
        yield from new(media.PARAMS, media.go_json(dict(sorted(merged.items()))) + b"\n")
    else:
        yield from keep(media.PARAMS)
    if request.messages:
        yield from new(media.MESSAGES, media.go_json(msgspec.to_builtins(request.messages)) + b"\n")
    else:
        yield from keep(media.MESSAGES)
    yield from keep(media.LICENSE)
    for text in [request.license] if isinstance(request.license, str) else request.license or []:
        if text:
            yield from new(media.LICENSE, text.encode())
    return layers


def _config(request: CreateRequest, ingredients: Ingredients, metadata: ModelMetadata, base: Model | None) -> Config:
    old = base.config if base else Config()
    families = list(old.model_families or [old.model_family or metadata.architecture])
    capabilities = [*old.capabilities, *metadata.capabilities]
    for name in ingredients.projectors:
        header = ingredients.headers[name]
        families.append(header.text("general.architecture"))
        capabilities += projector_senses(header)
    return Config(
        model_format="gguf",
        model_family=old.model_family or metadata.architecture,
        model_families=list(dict.fromkeys(families)),
        model_type=old.model_type or metadata.parameter_size,
        file_type=old.file_type or metadata.quantization_level,
        renderer=request.renderer or old.renderer,
        parser=request.parser or old.parser,
        requires=request.requires or old.requires,
        capabilities=list(dict.fromkeys(capabilities)),
        context_length=old.context_length or metadata.context_length,
        embedding_length=old.embedding_length or metadata.embedding_length,
        base_name=old.base_name,
        draft=old.draft,
    )
