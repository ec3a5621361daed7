"""From a model's header, the caller's options and the memory that is free to the way it is loaded.

What somebody asked for holds. The rest is chosen so that the model lies on GPUs as far as it can, and that memory is
left: context, slots, and where each layer lies (estimate.py, split.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from ollama_engine.errors import LoadFailed
from ollama_engine.gguf.metadata import ModelMetadata
from ollama_engine.options import Options
from ollama_engine.runner.protocol import PROCESSOR, Adapter, LoadSpec, Pooling
from ollama_engine.scheduler.calibration import Calibration, Measured
from ollama_engine.scheduler.estimate import UBATCH, Context, Extras, estimate, read_extras
from ollama_engine.scheduler.load_options import FIELDS, left_to_us, spec_fields
from ollama_engine.scheduler.split import Room, Split, Wishes, split
from ollama_engine.scheduler.step_down import smaller_spec
from ollama_engine.settings import Settings

MIB = 1024 * 1024
GIB = 1024 * MIB

MIN_CONTEXT = 4
FALLBACK_CONTEXT = 4096
CONTEXT_TIERS = ((47 * GIB, 262_144), (23 * GIB, 32_768))
"""Total device memory -> default context (spec §10)."""

SLOT_CHOICES = (4, 2, 1)
GPU_RESERVE = 448 * MIB
"""Of each GPU: its driver's own, and what other programs come to take."""
UNIFIED_RESERVE = 64 * MIB
"""Of a GPU that shares the host's memory."""
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
UNMEASURED = 1 << 60
"""Bytes: a device that nobody can measure is believed to have room."""


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
    split: Split | None = None
    """What lies where."""
    calibrated: bool = False
    """Whether a load like this one has been measured; else the figures are estimates."""

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
    calibration: Calibration | None = None,
) -> Placement:
    """Decide how to load a model.

    Args:
        options: with those that the settings have for all models (`Settings.options`) under the model's own.
        given: names of the options that the model or the request really set; the others are ours to choose.
        pooling: how it embeds; empty where it is to generate text.
        projector_paths: what gives it eyes or ears.
        adapters: what is added to its weights, loaded beside them.
        calibration: what loads have taken before.

    Raises:
        InvalidRequest: the options contradict each other.
    """
    fitting = _Fitting(model_paths, metadata, options, given, settings, free, projector_paths, adapters, calibration)
    if pooling:
        return _place_embedder(fitting, pooling)
    asked = options.num_ctx or settings.context_length
    least = PROJECTOR_CONTEXT if projector_paths else 0
    longest = fitting.context(max(asked or _default_context(free), least))
    image_tokens = QWEN_IMAGE_TOKENS if projector_paths and metadata.architecture in QWEN_VISION else 0

    has_windows = any(layer.windowed for layer in metadata.memory.cache.layers)

    def placed(n_ctx: int, n_seq: int, *, full_windows: bool = not has_windows) -> Placement:
        return fitting.place(
            context_asked=bool(asked),
            n_ctx=n_ctx,
            n_seq=n_seq,
            n_batch=max(1, min(options.num_batch, n_ctx)),
            full_windows=full_windows,
            projector_paths=[str(path) for path in projector_paths],
            image_min_tokens=image_tokens,
        )

    contexts = [longest] if asked else [*_halved(longest, FALLBACK_CONTEXT)]
    slots = (settings.num_parallel,) if settings.num_parallel else SLOT_CHOICES
    smallest = placed(contexts[-1], slots[-1])

    def is_comfortable(placement: Placement) -> bool:
        return placement is smallest or fitting.is_comfortable(placement, smallest)

    n_ctx = next((n for n in contexts[:-1] if is_comfortable(placed(n, slots[-1]))), contexts[-1])
    n_seq = next((n for n in slots[:-1] if is_comfortable(placed(n_ctx, n))), slots[-1])
    if has_windows and is_comfortable(roomy := placed(n_ctx, n_seq, full_windows=True)):
        return roomy
    return placed(n_ctx, n_seq)


def _place_embedder(fitting: _Fitting, pooling: Pooling) -> Placement:
    """One batch at a time, nothing kept between them: cells for one batch, or for the longest input.

    Only a causal model whose last token counts can read an input in pieces. The others need a batch, and the buffers
    to compute it, as long as the context.
    """
    options, settings = fitting.options, fitting.settings
    in_pieces = pooling == "last" and fitting.metadata.is_causal
    usual = settings.context_length or _default_context(fitting.free)
    longest = fitting.context(options.num_ctx or (usual if in_pieces else min(usual, EMBEDDING_CONTEXT)))

    def placed(n_ctx: int) -> Placement:
        return fitting.place(
            context_asked=bool(options.num_ctx),
            n_ctx=n_ctx,
            n_seq=EMBEDDING_SEQUENCES,
            n_batch=max(EMBEDDING_BATCH, min(options.num_batch, n_ctx) if in_pieces else n_ctx),
            pooling=pooling,
        )

    contexts = [longest] if options.num_ctx else [*_halved(longest, EMBEDDING_BATCH)]
    smallest = placed(contexts[-1])
    choices = (placed(n_ctx) for n_ctx in contexts[:-1])
    found = next((one for one in choices if fitting.is_comfortable(one, smallest)), smallest)
    return replace(found, chosen=found.chosen | {"n_batch"})


class _Fitting:
    """One model, what is asked of it, and the memory for it: tries out sizes."""

    def __init__(
        self,
        model_paths: list[Path],
        metadata: ModelMetadata,
        options: Options,
        given: frozenset[str],
        settings: Settings,
        free: FreeMemory,
        projector_paths: Sequence[Path],
        adapters: Sequence[Adapter],
        calibration: Calibration | None,
    ) -> None:
        self.metadata = metadata
        self.options = options
        self.settings = settings
        self.free = free
        self._calibration = calibration
        self._given = given
        self._adapters = list(adapters)
        self._paths = [str(path) for path in model_paths]
        self._fields = spec_fields(options)
        self._projectors = projector_paths
        self._gpus = _gpus(free, options)

    def context(self, wanted: int) -> int:
        return min(max(wanted, MIN_CONTEXT), self.metadata.context_length or FALLBACK_CONTEXT)

    def place(self, *, context_asked: bool, **sizes: Any) -> Placement:
        """With these sizes (fields of a LoadSpec)."""
        fields: dict[str, Any] = {"use_amx": self.settings.amx, "adapters": self._adapters, **self._fields, **sizes}
        base = LoadSpec(model_paths=self._paths, **fields)
        chosen = left_to_us(self._given) if context_asked else left_to_us(self._given) | {"n_ctx"}
        extras = read_extras([Path(path) for path in base.projector_paths], base.adapters)
        found = self._laid(base, chosen, extras, 0)
        names = [gpu.name for gpu in self.free.gpus]
        measured = self._calibration.recall(found.spec, names) if self._calibration else None
        if measured is None:
            return found
        known = as_measured(found, measured)
        lacking = max((known.device_needed.get(name, 0) - size for name, size in self._gpus.items()), default=0)
        # Not as much room as it seemed: laid out anew, with less for the layers.
        return known if lacking <= 0 or not known.split else self._laid(base, chosen, extras, lacking)

    def _laid(self, base: LoadSpec, chosen: frozenset[str], extras: Extras, less: int) -> Placement:
        rooms = [Room(name, max(0, size - less)) for name, size in self._gpus.items()]
        wishes = self._wishes(base)
        found = self._split(base, extras, rooms, wishes)
        if rooms and not found.gpus:
            found = self._split(base, extras, [], wishes)
        sizes = {CPU: found.cpu.size, **{name: share.size for name, share in found.gpus.items()}}
        return Placement(
            spec=self._decided(base, chosen, found),
            needed=found.size,
            chosen=chosen,
            device_needed=sizes,
            layers=self.metadata.memory.layer_count,
            split=found,
        )

    def _split(self, spec: LoadSpec, extras: Extras, rooms: Sequence[Room], wishes: Wishes) -> Split:
        unified = bool(rooms) and wishes.gpu_layers != 0
        return split(estimate(self.metadata, context_of(spec, unified=unified), extras), rooms, wishes)

    def _wishes(self, spec: LoadSpec) -> Wishes:
        return Wishes(
            gpu_layers=spec.n_gpu_layers if spec.n_gpu_layers >= 0 else None,
            cpu_moe=self.options.num_cpu_moe,
            parts=tuple(spec.tensor_split),
            kv_offload=spec.kv_offload,
            by_rows=spec.split_mode == "row",
            spread=self.settings.sched_spread,
        )

    def _decided(self, base: LoadSpec, chosen: frozenset[str], found: Split) -> LoadSpec:
        """The spec with all that the split decided and nobody asked for."""
        fields: dict[str, Any] = {"kv_unified": bool(found.gpus)}
        if "n_cpu_moe" in chosen:
            fields["n_cpu_moe"] = found.cpu_moe
        if "n_gpu_layers" in chosen and base.n_gpu_layers < 0 and self._gpus:
            fields["n_gpu_layers"] = -1 if found.gpu_layers == self.metadata.memory.layer_count else found.gpu_layers
        if found.gpus and found.fits and base.split_mode != "row":
            there = [*self._gpus]
            if not base.devices and base.main_gpu is None and not base.tensor_split and len(found.gpus) < len(there):
                fields["devices"] = there = [*found.gpus]
            if not base.tensor_split and len(there) > 1 and "n_gpu_layers" in chosen:
                fields["tensor_split"] = [float(found.gpus[name].layers if name in found.gpus else 0) for name in there]
        return structs.replace(base, **fields)

    def is_comfortable(self, placement: Placement, smallest: Placement) -> bool:
        """Whether memory is left on every device, and no layer lies in RAM for the sake of size that would not have
        to."""
        have = {CPU: self.free.ram, **self._gpus}
        if placement.split and smallest.split and placement.split.gpu_layers < smallest.split.gpu_layers:
            return False
        if placement.split and smallest.split and placement.split.cpu_moe > smallest.split.cpu_moe:
            return False
        shared = {gpu.name for gpu in self.free.gpus if gpu.unified}
        ram = sum(n for device, n in placement.device_needed.items() if device == CPU or device in shared)
        needs = {**placement.device_needed, CPU: ram}
        return all(n <= have.get(device, n) * COMFORT for device, n in needs.items())


def context_of(spec: LoadSpec, *, unified: bool) -> Context:
    """The context that a runner makes of a spec."""
    n_ubatch = spec.n_batch if spec.projector_paths else spec.n_ubatch or UBATCH
    return Context(
        n_ctx=spec.n_ctx,
        n_seq=spec.n_seq,
        n_batch=spec.n_batch,
        n_ubatch=n_ubatch,
        type_k=spec.cache_type_k or "f16",
        type_v=spec.cache_type_v or "f16",
        flash_attention=spec.flash_attention is not False,
        unified=unified,
        full_windows=spec.full_windows,
        pooled=bool(spec.pooling),
    )


def as_measured(placement: Placement, measured: Measured) -> Placement:
    """The same with the bytes that such a load has taken."""
    if placement.split is None:
        return placement
    found = measured.apply(placement.split)
    if found is None:
        return placement
    sizes = {CPU: found.cpu.size, **{name: share.size for name, share in found.gpus.items()}}
    return replace(placement, needed=found.size, device_needed=sizes, split=found, calibrated=True)


def _gpus(free: FreeMemory, options: Options) -> dict[str, int]:
    """GPUs that the model may lie on, in their order, with the bytes that it may take of each."""
    there = {gpu.name: _usable(gpu, free.ram) for gpu in free.gpus}
    if options.devices:
        by_name = {name.casefold(): name for name in there}
        named = [by_name.get(name.casefold(), name) for name in options.devices if name.casefold() not in PROCESSOR]
        there = {name: there.get(name, UNMEASURED) for name in named}
    if options.split_mode == "none" or (options.main_gpu is not None and not options.split_mode):
        one = [*there][options.main_gpu or 0 :][:1]  # one that is not there is the runner's to tell of
        there = {name: there[name] for name in one}
    return there


def _usable(gpu: GpuMemory, ram: int) -> int:
    if gpu.unified:
        return max(0, min(gpu.free, ram) - UNIFIED_RESERVE)
    return max(0, gpu.free - GPU_RESERVE)


def _halved(longest: int, least: int) -> Iterator[int]:
    """`longest`, then half of it and so on, down to `least`."""
    n = longest
    while n > least:
        yield n
        n = max(n // 2, least)
    yield n


def _default_context(free: FreeMemory) -> int:
    return next((n for least, n in CONTEXT_TIERS if free.device_total >= least), FALLBACK_CONTEXT)


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
