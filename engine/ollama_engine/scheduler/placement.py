"""From a model's shape, the caller's options and the memory that is free to the way it is loaded.

The estimates are deliberately plain: weights, KV cache and a reserve for compute buffers. They decide how many
requests a model answers at once and whether a load is worth trying at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ollama_engine.errors import LoadFailed
from ollama_engine.gguf.memory import kv_cache_bytes
from ollama_engine.gguf.metadata import ModelMetadata
from ollama_engine.options import Options
from ollama_engine.runner.protocol import Adapter, LoadSpec, Pooling
from ollama_engine.scheduler.load_options import FIELDS, left_to_us, spec_fields
from ollama_engine.scheduler.step_down import smaller_spec
from ollama_engine.settings import Settings

MIB = 1024 * 1024
GIB = 1024 * MIB
FLOAT_BYTES = 4

MIN_CONTEXT = 4
FALLBACK_CONTEXT = 4096
CONTEXT_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768))
"""Total device memory -> default context (spec §10)."""

SLOT_CHOICES = (4, 2, 1)
COMPUTE_RESERVE = 32 * MIB
PROJECTOR_RESERVE = 256 * MIB
"""For what an encoder of images or sound computes with."""
PROJECTOR_CONTEXT = 2048
"""The least context of a model that sees or hears, whoever asked for less (spec §1.11): one image may take half."""
QWEN_VISION = ("qwen2vl", "qwen25vl", "qwen3vl", "qwen3vlmoe")
QWEN_IMAGE_TOKENS = 1024
"""Tokens of an image at least for these architectures, which do not find things in smaller ones (spec §10)."""
EMBEDDING_SEQUENCES = 64
"""Inputs that are embedded in one batch at most."""
EMBEDDING_BATCH = 512
"""Tokens that a batch of an embedding model holds at least, so that short inputs can share it."""
EMBEDDING_CONTEXT = 8192
"""The longest context that a request gets which asks for none, where the whole of an input is computed at once: the
buffers for it grow with its square."""
COMFORT = 0.8
"""Share of the free memory that a default choice may fill."""


CPU = "CPU"
"""ggml's name of the processor, whose memory is the machine's."""


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of a GPU, by ggml's name of it (`CUDA0`). `unified`: what it has is RAM, the same bytes as the host's."""

    name: str
    free: int
    total: int
    unified: bool = False


@dataclass(frozen=True)
class FreeMemory:
    """Bytes. `gpus` are those that llama.cpp puts a model on where nobody says which."""

    ram: int
    gpus: tuple[GpuMemory, ...] = ()

    @property
    def device(self) -> int:
        return sum(gpu.free for gpu in self.gpus)

    @property
    def device_total(self) -> int:
        return sum(gpu.total for gpu in self.gpus)

    @property
    def devices(self) -> int:
        return len(self.gpus)

    @property
    def usable(self) -> int:
        return self.ram + sum(gpu.free for gpu in self.gpus if not gpu.unified)


@dataclass(frozen=True)
class Placement:
    """How to load a model, and the bytes it will take by estimate.

    `chosen` names the fields of `spec` that nobody asked for: a loaded runner that differs only in those will do.
    """

    spec: LoadSpec
    needed: int
    chosen: frozenset[str]
    device_needed: dict[str, int] = field(default_factory=dict)
    """The same by device, `CPU` for RAM."""
    layers: int = 0
    """Layers of the model, the output layer counted as one; 0 where nobody knows."""

    def served_by(self, loaded: LoadSpec) -> bool:
        """Whether a runner loaded so can answer for this placement; a larger context than asked for can."""
        beside = ("projector_paths", "adapters")
        if loaded.model_paths != self.spec.model_paths or any(
            getattr(loaded, name) != getattr(self.spec, name) for name in beside
        ):
            return False
        if "n_ctx" not in self.chosen and loaded.n_ctx < self.spec.n_ctx:
            return False
        fixed = set(FIELDS.values()) - self.chosen
        return all(getattr(loaded, name) == getattr(self.spec, name) for name in fixed)

    def smaller(self) -> Placement | None:
        """What to try where memory did not suffice for this, whoever asked for it; None where nothing can be given up.
        What it needs is not estimated anew: the estimate has just been found wanting."""
        on_gpu = any(size for device, size in self.device_needed.items() if device != "CPU")
        layers = self.spec.n_gpu_layers if self.spec.n_gpu_layers >= 0 else self.layers
        spec = smaller_spec(self.spec, layers if on_gpu else 0)
        return None if spec is None else replace(self, spec=spec)


def place(
    model_paths: list[Path],
    metadata: ModelMetadata,
    options: Options,
    given: frozenset[str],
    settings: Settings,
    free: FreeMemory,
    pooling: Pooling = "",
    projector_paths: Sequence[Path] = (),
    adapters: Sequence[Adapter] = (),
) -> Placement:
    """Decide how to load a model.

    Args:
        options: with those that the settings have for all models (`Settings.options`) under the model's own.
        given: names of the options that the model or the request really set; the others are ours to choose.
        pooling: how it embeds; empty where it is to generate text.
        projector_paths: what gives it eyes or ears.
        adapters: what is added to its weights, loaded beside them.

    Raises:
        LoadFailed: it needs more memory than there is.
        InvalidRequest: the options contradict each other.
    """
    if pooling:
        return _place_embedder(model_paths, metadata, options, given, settings, free, pooling, adapters)

    def needed(n_ctx: int, n_seq: int) -> int:
        fixed = _fixed_bytes(model_paths, adapters) + _projector_bytes(projector_paths)
        return fixed + _kv_bytes(metadata, n_ctx * n_seq, options)

    asked = options.num_ctx or settings.context_length
    least = PROJECTOR_CONTEXT if projector_paths else 0
    n_ctx = _context(metadata, max(asked or _default_context(free), least))
    if not asked:
        while n_ctx > FALLBACK_CONTEXT and needed(n_ctx, 1) > free.usable * COMFORT:
            n_ctx = max(n_ctx // 2, FALLBACK_CONTEXT)
    n_seq = settings.num_parallel or next(
        (n for n in SLOT_CHOICES if needed(n_ctx, n) <= free.usable * COMFORT), SLOT_CHOICES[-1]
    )
    n_batch = max(1, min(options.num_batch, n_ctx))
    spec = _spec(
        model_paths,
        options,
        settings,
        n_ctx=n_ctx,
        n_seq=n_seq,
        n_batch=n_batch,
        projector_paths=[str(path) for path in projector_paths],
        image_min_tokens=QWEN_IMAGE_TOKENS if projector_paths and metadata.architecture in QWEN_VISION else 0,
        adapters=list(adapters),
    )
    bytes_needed = needed(n_ctx, n_seq)
    chosen = _chosen_by_us(given, bool(asked))
    spread = _spread(bytes_needed, options.num_gpu, free)
    return Placement(spec, bytes_needed, chosen, spread, layers=metadata.block_count + 1)


def _place_embedder(
    model_paths: list[Path],
    metadata: ModelMetadata,
    options: Options,
    given: frozenset[str],
    settings: Settings,
    free: FreeMemory,
    pooling: Pooling,
    adapters: Sequence[Adapter],
) -> Placement:
    """One batch at a time, nothing kept between them: cells for one batch, or for the longest input.

    Only a causal model whose last token counts can read an input in pieces. The others need a batch, and the buffers
    to compute it, as long as the context.
    """
    in_pieces = pooling == "last" and metadata.is_causal

    def batch(n_ctx: int) -> int:
        return max(EMBEDDING_BATCH, min(options.num_batch, n_ctx) if in_pieces else n_ctx)

    def needed(n_ctx: int) -> int:
        cells = max(n_ctx, batch(n_ctx)) if metadata.is_causal else 0
        computed = batch(n_ctx) * (batch(n_ctx) + 16 * metadata.embedding_length)
        if metadata.is_causal:  # llama.cpp computes the logits of every token as well
            computed += batch(n_ctx) * metadata.vocab_size
        return _fixed_bytes(model_paths, adapters) + _kv_bytes(metadata, cells, options) + FLOAT_BYTES * computed

    usual = settings.context_length or _default_context(free)
    n_ctx = _context(metadata, options.num_ctx or (usual if in_pieces else min(usual, EMBEDDING_CONTEXT)))
    if not options.num_ctx:
        while n_ctx > EMBEDDING_BATCH and needed(n_ctx) > free.usable * COMFORT:
            n_ctx = max(n_ctx // 2, EMBEDDING_BATCH)
    spec = _spec(
        model_paths,
        options,
        settings,
        n_ctx=n_ctx,
        n_seq=EMBEDDING_SEQUENCES,
        n_batch=batch(n_ctx),
        pooling=pooling,
        adapters=list(adapters),
    )
    chosen = _chosen_by_us(given, bool(options.num_ctx)) | {"n_batch"}
    spread = _spread(needed(n_ctx), options.num_gpu, free)
    return Placement(spec, needed(n_ctx), chosen, spread, layers=metadata.block_count + 1)


def _spread(needed: int, num_gpu: int, free: FreeMemory) -> dict[str, int]:
    """GPUs first, one after the other; what they have no room for lies in RAM."""
    shares: dict[str, int] = {}
    for gpu in free.gpus if num_gpu else ():
        shares[gpu.name] = min(needed, gpu.free)
        needed -= shares[gpu.name]
    return {CPU: needed, **shares}


def _fixed_bytes(model_paths: list[Path], adapters: Sequence[Adapter]) -> int:
    files = [*model_paths, *(Path(adapter.path) for adapter in adapters)]
    return sum(path.stat().st_size for path in files) + COMPUTE_RESERVE


def _projector_bytes(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size + PROJECTOR_RESERVE for path in paths)


def _kv_bytes(metadata: ModelMetadata, cells: int, options: Options) -> int:
    return kv_cache_bytes(metadata, cells, options.cache_type_k or "f16", options.cache_type_v or "f16")


def _context(metadata: ModelMetadata, wanted: int) -> int:
    return min(max(wanted, MIN_CONTEXT), metadata.context_length or FALLBACK_CONTEXT)


def _spec(model_paths: list[Path], options: Options, settings: Settings, **sizes: Any) -> LoadSpec:
    fields: dict[str, Any] = {"use_amx": settings.amx, **spec_fields(options), **sizes}
    return LoadSpec(model_paths=[str(path) for path in model_paths], **fields)


def _default_context(free: FreeMemory) -> int:
    return next((n for least, n in CONTEXT_TIERS if free.device_total >= least), FALLBACK_CONTEXT)


def _chosen_by_us(given: frozenset[str], context_asked: bool) -> frozenset[str]:
    return left_to_us(given) if context_asked else left_to_us(given) | {"n_ctx"}


def check_fits(placement: Placement, free: FreeMemory) -> None:
    """LoadFailed, with both figures, where a load cannot succeed."""
    if placement.needed <= free.usable:
        return
    raise LoadFailed(
        f"model requires more memory ({_gib(placement.needed)}) than is available ({_gib(free.usable)})",
        hint=f"Try a num_ctx below {placement.spec.n_ctx}, a smaller quantization or model, or free some memory.",
    )


def _gib(n: int) -> str:
    return f"{n / GIB:.1f} GiB"
