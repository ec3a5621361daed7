"""What stands in an OCI image layout (image-spec `image-layout.md`, `image-index.md`), written and read with bounds."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct, field

from ollama_engine.errors import InvalidDigest, InvalidRequest
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest
from ollama_engine.store.manifest import MANIFEST_TYPE, MAX_MANIFEST, Size

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
BLOB_FOLDER = "blobs/sha256/"
LAYOUT_VERSION = "1.0.0"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (MANIFEST_TYPE, OCI_MANIFEST_TYPE)
REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
"""Where docker writes the whole name; its REF_NAME is the tag alone."""

MAX_MODELS = 1000


class InvalidBundle(InvalidRequest):
    """A file that is no bundle, or a broken one."""

    def __init__(self, message: str, *, hint: str = "Make it again with: ollama-tui save MODEL -o FILE") -> None:
        super().__init__(message, hint=hint)


class Descriptor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    media_type: str = field(name="mediaType")
    digest: str
    size: Size
    annotations: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """The model's name as the bundle says it; empty where it does not."""
        notes = self.annotations or {}
        return notes.get(CONTAINERD_NAME) or notes.get(REF_NAME) or ""

    @property
    def parsed_digest(self) -> Digest:
        try:
            return digests.parse(self.digest)
        except InvalidDigest as error:
            raise InvalidBundle(f"the bundle's index is broken: {error}") from error


class Index(Struct, frozen=True, kw_only=True):
    schema_version: int = field(name="schemaVersion", default=2)
    media_type: str = field(name="mediaType", default=INDEX_TYPE)
    manifests: list[Descriptor]


class Layout(Struct, frozen=True):
    version: str = field(name="imageLayoutVersion", default=LAYOUT_VERSION)


S = TypeVar("S", bound=Struct)


def read_layout(data: bytes) -> None:
    """InvalidBundle where the file is of a layout that nobody knows yet."""
    version = _decoded(data, Layout, LAYOUT_FILE).version
    if version != LAYOUT_VERSION:
        raise InvalidBundle(f"the bundle has OCI layout version {version[:20]!a}; {LAYOUT_VERSION} is known here")


def read_index(data: bytes) -> Index:
    """The index, of which every descriptor is of one model's manifest. InvalidBundle."""
    index = _decoded(data, Index, INDEX_FILE)
    if not index.manifests:
        raise InvalidBundle("the bundle holds no model")
    if len(index.manifests) > MAX_MODELS:
        raise InvalidBundle(f"the bundle's index names more than {MAX_MODELS} models")
    for one in index.manifests:
        if one.media_type not in MANIFEST_TYPES:
            raise InvalidBundle(
                f"the bundle holds something of type {one.media_type[:100]!a}, which is no model",
                hint="Copy single images into the layout, not lists of platforms.",
            )
        if not 0 < one.size <= MAX_MANIFEST:
            raise InvalidBundle(f"the bundle's index gives a manifest {one.size} bytes, of {MAX_MANIFEST} at most")
    return index


def _decoded(data: bytes, kind: type[S], what: str) -> S:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidBundle(f"the bundle's {what} is broken: {error}") from error
