"""Models in the store: their lines in a list, everything known of one, and one to make."""

from __future__ import annotations

from msgspec import Struct, field

from ollama_engine.types.base import JSON
from ollama_engine.types.messages import Message


class ModelDetails(Struct, omit_defaults=True):
    parent_model: str = field(default_factory=str)
    format: str = field(default_factory=str)
    family: str = field(default_factory=str)
    families: list[str] | None = field(default_factory=lambda: None)
    parameter_size: str = field(default_factory=str)
    quantization_level: str = field(default_factory=str)
    context_length: int = 0
    embedding_length: int = 0


class ModelSummary(Struct, omit_defaults=True):
    """A line of `list`. `digest` is the bare hex sha256 of the manifest file; `size` all layers and the config."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: ModelDetails
    capabilities: list[str] = field(default_factory=list)


class TensorInfo(Struct):
    name: str
    type: str
    shape: list[int]


def _empty_object() -> JSON:
    # msgspec omits an empty value whose factory is `dict` itself; this one is sent (spec §1.7: always an object)
    return {}


class ModelInfo(Struct, omit_defaults=True):
    """What `show` answers."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: ModelDetails = field(default_factory=ModelDetails)
    messages: list[Message] | None = None
    model_info: JSON = field(default_factory=_empty_object)
    projector_info: JSON | None = None
    tensors: list[TensorInfo] | None = None
    capabilities: list[str] = field(default_factory=list)
    modified_at: str = ""
    requires: str = ""
    template_engine: str = ""
    """Which template speaks: `go`, the TEMPLATE layer, or `jinja`, the GGUF's own (ours)."""


class CreateRequest(Struct, omit_defaults=True):
    """A model to make from another (`from_`) or from blobs already in the store (`files`: relative path -> digest)."""

    model: str
    from_: str = field(name="from", default="")
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str = ""
    license: str | list[str] | None = None
    system: str = ""
    parameters: JSON | None = None
    messages: list[Message] | None = None
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    draft_files: dict[str, str] | None = None
    draft_quantize: str = ""
    imatrix: str = ""
    """Digest of an importance matrix (a blob), which the smallest quantizations need (ours)."""
    requantize: bool = False
    """Quantize weights that are quantized already, at a loss (ours)."""
    preset: str = ""
    """A named template for weights without one, or `auto` to choose it even where there is one (ours)."""
    stream: bool | None = None


class LayerView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A blob of a model (ours). A delete removes it once no other model uses it."""

    digest: str
    """`sha256:` and 64 hex digits."""
    kind: str
    """What it holds: `model`, `projector`, `adapter`, `template`, `system`, `params`, `license`, `config` …"""
    size: int
    """Bytes, as the manifest says."""
    frees: int = 0
    """Bytes of disk that go with it: none where its file has another name or is missing, or nothing can be removed
    because some model of the store cannot be read."""
    models: list[str] = field(default_factory=list)
    """The other models that use it."""


class PruneReport(Struct, omit_defaults=True):
    """What `prune` found (and removed, unless it was a dry run): digests or file names, and bytes freed."""

    removed: list[str] = field(default_factory=list)
    freed: int = 0
