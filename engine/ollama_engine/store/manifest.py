"""Manifests and config blobs: what a model is made of (spec §6).

Read with bounds and tolerance (unknown keys pass, `null` leaves a default, as in Go), written as Ollama's Go
encoder writes them: same key order, `<`, `>` and `&` escaped, a newline at the end. The store reads and
writes them, create and pull build them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from ollama_engine.errors import InvalidDigest, StoreError
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
PREFIX = "application/vnd.ollama.image."
MODEL = "application/vnd.ollama.image.model"
PROJECTOR = "application/vnd.ollama.image.projector"
ADAPTER = "application/vnd.ollama.image.adapter"
DRAFT = "application/vnd.ollama.image.draft"
TEMPLATE = "application/vnd.ollama.image.template"
PROMPT = "application/vnd.ollama.image.prompt"
"""What TEMPLATE was called in old stores."""
SYSTEM = "application/vnd.ollama.image.system"
PARAMS = "application/vnd.ollama.image.params"
MESSAGES = "application/vnd.ollama.image.messages"
LICENSE = "application/vnd.ollama.image.license"
EMBED = "application/vnd.ollama.image.embed"
TENSOR = "application/vnd.ollama.image.tensor"
JSON = "application/vnd.ollama.image.json"

MAX_MANIFEST = 4 << 20
"""Bytes that a manifest or a config blob may have: more is refused unread."""

Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Layer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One blob of a model and what it is for. `digest` is `sha256:<hex>`, checked when the manifest was read.

    `from_` is the parent model or the file the layer was made from; `name` the tensor or file name of a
    safetensors layer.
    """

    media_type: str = field(name="mediaType")
    digest: str
    size: Size
    from_: str = field(name="from", default="")
    name: str = ""


class Manifest(Struct, frozen=True, kw_only=True):
    schema_version: int = field(name="schemaVersion", default=2)
    media_type: str = field(name="mediaType", default=MANIFEST_TYPE)
    config: Layer
    layers: list[Layer] = field(default_factory=list)

    def blobs(self) -> Iterator[Layer]:
        """All that the manifest refers to: its layers, then its config."""
        yield from self.layers
        yield self.config

    def digests(self) -> set[Digest]:
        return {digests.parse(layer.digest) for layer in self.blobs()}

    @property
    def size(self) -> int:
        """Bytes of layers and config together, as the manifest declares them."""
        return sum(layer.size for layer in self.blobs())


class Config(Struct, frozen=True, kw_only=True):
    """The config blob. `model_type` is the parameter count as text, `file_type` the quantization."""

    model_format: str = ""
    model_family: str = ""
    model_families: list[str] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: list[str] = field(default_factory=list)
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""
    draft: dict[str, Any] | None = None
    template_origin: str = ""
    """Ours; Ollama passes over it. `modelfile`: a TEMPLATE was written for this model (or the one that it builds on),
    `autodetected`: its template layer is one of our presets. Empty for what was pulled and what Ollama made."""
    architecture: str = "amd64"
    os: str = "linux"
    rootfs: dict[str, Any] | None = None


T = TypeVar("T")

_ALWAYS_WRITTEN = {
    "model_format",
    "model_family",
    "model_families",
    "model_type",
    "file_type",
    "architecture",
    "os",
}


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in `data`, its digests checked; StoreError names what is wrong with it."""
    manifest = _decode(data, Manifest, "manifest")
    try:
        return Manifest(
            schema_version=manifest.schema_version,
            media_type=manifest.media_type,
            config=_checked(manifest.config),
            layers=[_checked(layer) for layer in manifest.layers],
        )
    except InvalidDigest as error:
        raise StoreError(f"the manifest is broken: {error}") from error


def decode_config(data: bytes) -> Config:
    """The config blob in `data`; StoreError names what is wrong with it."""
    return _decode(data, Config, "config")


def encode_manifest(manifest: Manifest) -> bytes:
    return go_json(manifest) + b"\n"


def encode_config(config: Config) -> bytes:
    kept = {key: value for key, value in msgspec.to_builtins(config).items() if key in _ALWAYS_WRITTEN or value}
    return go_json(kept) + b"\n"


def go_json(value: Any) -> bytes:
    """`value` as Go's encoder writes it: compact, with the characters escaped that HTML gives a meaning to.

    These occur inside JSON strings only, so replacing them in the encoded text is safe.
    """
    text = msgspec.json.encode(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character.encode(), f"\\u{ord(character):04x}".encode())
    return text


def _checked(layer: Layer) -> Layer:
    return msgspec.structs.replace(layer, digest=str(digests.parse(layer.digest)))


def _decode(data: bytes, kind: type[T], what: str) -> T:
    if len(data) > MAX_MANIFEST:
        raise StoreError(f"the {what} is larger than {MAX_MANIFEST} bytes")
    if not data.strip():
        raise StoreError(f"the {what} is empty")
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise StoreError(f"the {what} is broken: {error}") from error


def _without_nulls(value: Any) -> Any:
    """Go leaves a field alone where JSON says `null`; so do we, by not seeing the key."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
