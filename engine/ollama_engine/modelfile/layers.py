"""Makes a model of a create request: the server's side of `create` (spec §1.9).

GGUF files become layers as they are: the digest of a layer is the digest of the file that was uploaded, nothing is
converted or written twice, and the shards of a split model stay shards, one layer each. What the request does not
say is inherited from the model it builds on. `LocalEngine.create` runs this in a thread.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import msgspec

from ollama_engine.gguf import read_metadata
from ollama_engine.gguf.capabilities import projector_senses
from ollama_engine.modelfile.ingredients import Ingredients
from ollama_engine.modelfile.prepare import Prepared, check, prepare
from ollama_engine.modelfile.quantizations import NOTHING_QUANTIZED, Quantized
from ollama_engine.modelfile.render import parameters_text, render_modelfile
from ollama_engine.prompt.presets import AUTODETECT, PRESETS, Preset, detect_preset, find_preset
from ollama_engine.store import Config, Layer, Manifest, Store, digests
from ollama_engine.store import manifest as media
from ollama_engine.types import CreateRequest, Progress

__all__ = ["create_model", "parameters_text", "render_modelfile"]


def create_model(
    store: Store, request: CreateRequest, quantized: Quantized = NOTHING_QUANTIZED
) -> Generator[Progress, None, None]:
    """Make the model `request.model`, step by step; closing the iterator before its end leaves no model.

    The model that `request.from_` names must be in the store: to pull it first is the engine's part. So is to quantize:
    what came of that is `quantized`, and takes the place of the weights that the request names.

    Raises:
        InvalidRequest: InvalidName, InvalidDigest, InvalidGGUF, TemplateError and others that name what is wrong.
        ModelNotFound: there is no model `request.from_`.
        StoreError: the disk, or a blob that is missing.
    """
    check(request)  # before the first step, so that a stream can still answer with the status of what is wrong
    with store.creating() as creation:
        if request.files or request.adapters:
            yield Progress(status="parsing GGUF")
        prepared = prepare(store, request)
        layers = _weights(store, prepared, quantized)
        for layer in layers:
            store.blobs.reuse(layer.digest)
            yield Progress(status=f"using existing layer {layer.digest}")
        preset = _preset(prepared)
        if preset is not None:
            yield Progress(status=f"using autodetected template {preset.name}")
        layers += yield from _words(store, prepared, preset)
        config = _config(store, prepared, preset, quantized)
        layer = store.add_layer(media.CONFIG_TYPE, media.encode_config(config))
        yield Progress(status="writing manifest")
        store.put_manifest(prepared.name, Manifest(config=layer, layers=layers), creation)
    yield Progress(status="success")


def _preset(prepared: Prepared) -> Preset | None:
    """The named template that the request asks for, or that weights without any template seem to be made for."""
    request, base = prepared.request, prepared.base
    if request.template:
        return None
    if request.preset and request.preset != AUTODETECT:
        return find_preset(request.preset)
    if request.preset == AUTODETECT or (base is None and not prepared.metadata.chat_template):
        file = prepared.ingredients.model[0] if prepared.ingredients.model else ""
        return detect_preset(prepared.header, prepared.metadata, file)
    return None


def _weights(store: Store, prepared: Prepared, quantized: Quantized) -> list[Layer]:
    """Model, projector, adapter and draft layers: new ones take the place of inherited ones of their kind."""
    request, ingredients, base = prepared.request, prepared.ingredients, prepared.base
    digest_of = {**(request.files or {}), **(request.adapters or {}), **(request.draft_files or {})}

    def quantized_or(digest: str, media_type: str, otherwise: list[Layer]) -> list[Layer]:
        if not digest:
            return otherwise
        size = store.blobs.path(digest).stat().st_size
        return [Layer(media_type=media_type, digest=digest, size=size, from_=otherwise[0].from_)]

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
    draft = made(media.DRAFT, prepared.draft.model)
    return [
        *quantized_or(quantized.model, media.MODEL, model),
        *(made(media.PROJECTOR, ingredients.projectors) or inherited(media.PROJECTOR)),
        *(made(media.ADAPTER, ingredients.adapters) or inherited(media.ADAPTER)),
        *(quantized_or(quantized.draft, media.DRAFT, draft) or inherited(media.DRAFT)),
    ]


def _words(store: Store, prepared: Prepared, preset: Preset | None) -> Generator[Progress, None, list[Layer]]:
    """The layers of text and JSON: template, system, parameters, messages, licences."""
    request, base = prepared.request, prepared.base
    parameters = _parameters(prepared, preset)
    template = request.template or (preset.template if preset else "")
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

    if template:
        yield from new(media.TEMPLATE, template.encode())
    else:
        yield from keep(media.TEMPLATE, media.PROMPT)
    if request.system:
        yield from new(media.SYSTEM, request.system.encode())
    else:
        yield from keep(media.SYSTEM)
    if base is not None and parameters == base.parameters:
        yield from keep(media.PARAMS)
    elif parameters:
        yield from new(media.PARAMS, media.go_json(dict(sorted(parameters.items()))) + b"\n")
    if request.messages:
        yield from new(media.MESSAGES, media.go_json(msgspec.to_builtins(request.messages)) + b"\n")
    else:
        yield from keep(media.MESSAGES)
    yield from keep(media.LICENSE)
    for text in [request.license] if isinstance(request.license, str) else request.license or []:
        if text:
            yield from new(media.LICENSE, text.encode())
    return layers


def _parameters(prepared: Prepared, preset: Preset | None) -> dict[str, Any]:
    """The inherited ones, the preset's stop strings where nobody has said any, and the request's over both.

    Stop strings that came with the base's own preset nobody has said: with its template they go.
    """
    inherited = dict(prepared.base.parameters) if prepared.base else {}
    if prepared.ingredients.adapters:
        inherited.pop("adapter_scale", None)  # it was for the adapters that go
    unsaid = [None, *(list(known.stop) for known in PRESETS.values())]
    stops = {"stop": list(preset.stop)} if preset and inherited.get("stop") in unsaid else {}
    return {**inherited, **stops, **prepared.parameters}


def _config(store: Store, prepared: Prepared, preset: Preset | None, quantized: Quantized) -> Config:
    request, ingredients, metadata = prepared.request, prepared.ingredients, prepared.metadata
    old = prepared.base.config if prepared.base else Config()
    families = list(old.model_families or [old.model_family or metadata.architecture])
    capabilities = [*old.capabilities, *metadata.capabilities]
    for name in ingredients.projectors:
        header = ingredients.headers[name]
        families.append(header.text("general.architecture"))
        capabilities += projector_senses(header)
    level = old.file_type or metadata.quantization_level
    if quantized.model:
        level = read_metadata(store.blobs.path(quantized.model)).quantization_level
    return Config(
        model_format="gguf",
        model_family=old.model_family or metadata.architecture,
        model_families=list(dict.fromkeys(families)),
        model_type=old.model_type or metadata.parameter_size,
        file_type=level,
        renderer=request.renderer or old.renderer,
        parser=request.parser or old.parser,
        requires=request.requires or old.requires,
        capabilities=list(dict.fromkeys(capabilities)),
        context_length=old.context_length or metadata.context_length,
        embedding_length=old.embedding_length or metadata.embedding_length,
        base_name=old.base_name,
        draft=_draft(prepared.draft) or old.draft,
        template_origin="modelfile" if request.template else "autodetected" if preset else old.template_origin,
    )


def _draft(draft: Ingredients) -> dict[str, Any] | None:
    if draft.header is None:
        return None
    return {"model_format": "gguf", "architecture": draft.header.text("general.architecture")}
