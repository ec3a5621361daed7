"""A placement as others are told of it: does the model fit, what lies where, and what could be done about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import structs

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import Options
from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.calibration import measure
from ollama_engine.scheduler.placement import CPU, GIB, FreeMemory, GpuMemory, Placement, as_measured
from ollama_engine.scheduler.split import Share
from ollama_engine.types import DevicePlan, Fit, MemoryPlan

FITS: tuple[Fit, ...] = ("gpu", "partial", "cpu", "none")
"""The better first."""
LEAST_CONTEXT = 2048
"""Nobody is advised to take a shorter one."""
SMALL_CACHE = "q8_0"
OTHERWISE = "A smaller quantization, a smaller model or more free memory would do it."


@dataclass(frozen=True)
class Way:
    """What could be asked for instead, and in words."""

    options: Options
    words: str


def memory_plan(
    model: str,
    placement: Placement,
    free: FreeMemory,
    *,
    loaded: bool = False,
    ways: Iterable[Way] = (),
    place: Callable[[Options], Placement] | None = None,
) -> MemoryPlan:
    """What `model` takes, placed so.

    Args:
        free: what it may take, of which `devices` tell.
        loaded: it is in memory so.
        ways: what might make it fit better; `place` tries them.
    """
    found = placement.split
    if found is None:
        raise ValueError("a placement without a split has no plan")
    spec = placement.spec
    fit: Fit = fit_of(placement, free, loaded=loaded)
    gpus = {gpu.name: gpu for gpu in free.gpus}
    devices = [
        *(_device(name, share, gpus[name].free if name in gpus else 0) for name, share in found.gpus.items()),
        *(_device(gpu.name, Share(), gpu.free) for gpu in free.gpus if gpu.name not in found.gpus),
        _device(CPU, found.cpu, free.ram),
    ]
    shares = [found.cpu, *found.gpus.values()]
    plan = MemoryPlan(
        model=model,
        fit=fit,
        context_length=spec.n_ctx,
        slots=1 if spec.pooling else spec.n_seq,
        layers=placement.layers,
        gpu_layers=found.gpu_layers,
        cpu_moe=found.cpu_moe,
        size=found.size,
        weights=sum(share.weights for share in shares),
        kv_cache=sum(share.cache for share in shares),
        compute=sum(share.compute for share in shares),
        other=sum(share.other for share in shares),
        kv_cache_type_k=spec.cache_type_k or "f16",
        kv_cache_type_v=spec.cache_type_v or "f16",
        devices=devices,
        calibrated=placement.calibrated,
        loaded=loaded,
        reason=_reason(placement, free, fit),
    )
    if fit in ("partial", "none") or (fit == "cpu" and free.gpus and found.cpu.layers):
        plan.hint = _hint(fit, free, ways, place)
    return plan


def fit_of(placement: Placement, free: FreeMemory, *, loaded: bool = False) -> Fit:
    """Whether it lies on GPUs, wholly or partly, on the CPU, or nowhere. What is loaded lies where it lies."""
    found = placement.split
    if found is None:
        return "cpu"
    if not loaded and not (found.fits and lacking(placement, free) <= 0):
        return "none"
    if not found.gpus:
        return "cpu"
    return "gpu" if not found.cpu.layers and not found.cpu_moe and placement.spec.kv_offload else "partial"


def as_loaded(placement: Placement, runner: Runner) -> Placement:
    """The same, as the runner that was loaded so really lies."""
    return as_measured(placement, measure(runner))


def lacking(placement: Placement, free: FreeMemory) -> int:
    """Bytes of RAM that it needs beyond what is free."""
    shared = sum(placement.device_needed.get(gpu.name, 0) for gpu in free.gpus if gpu.unified)
    return placement.device_needed.get(CPU, 0) + shared - free.ram


def ways_out(options: Options, placement: Placement) -> Iterable[Way]:
    """What could be asked for instead, the smallest change first."""
    spec = placement.spec
    n_ctx = spec.n_ctx // 2
    contexts: list[int] = []
    while n_ctx >= LEAST_CONTEXT:
        contexts.append(n_ctx)
        n_ctx //= 2
    small = structs.replace(options, cache_type_k=SMALL_CACHE, cache_type_v=SMALL_CACHE)
    if not options.cache_type_k and not options.cache_type_v and options.flash_attention is not False:
        yield Way(structs.replace(small, num_ctx=spec.n_ctx), f"kv_cache_type {SMALL_CACHE}")
    for shorter in contexts:
        yield Way(structs.replace(options, num_ctx=shorter), f"num_ctx {shorter}")


def _hint(fit: Fit, free: FreeMemory, ways: Iterable[Way], place: Callable[[Options], Placement] | None) -> str:
    """The smallest change that makes it fit whole, else one that makes it fit better."""
    better: tuple[Fit, str] | None = None
    for way in ways if place else ():
        assert place is not None
        try:
            tried = fit_of(place(way.options), free)
        except InvalidRequest:  # the type of cache is not for this model
            continue
        if FITS.index(tried) < FITS.index(better[0] if better else fit):
            better = tried, way.words
        if tried == FITS[0]:
            break
    if better is None:
        return OTHERWISE
    return f"With {better[1]} {WORDS[better[0]]}."


WORDS: dict[Fit, str] = {
    "gpu": "it fits the GPU",
    "partial": "it fits partly on the GPU",
    "cpu": "it fits in RAM",
    "none": "it does not fit",
}


def _reason(placement: Placement, free: FreeMemory, fit: Fit) -> str:
    found = placement.split
    assert found is not None
    match fit:
        case "none" if not found.fits:
            over = [
                f"{name} {_gib(share.size)} of {_gib(gpu.free)}"
                for name, share in found.gpus.items()
                if (gpu := _gpu(free, name)) and share.size > gpu.free
            ]
            return f"{found.gpu_layers} layers were asked for on the GPU; they would take {', '.join(over) or 'all'}"
        case "none":
            there = f"{_gib(free.ram)} of RAM" + (f" and {_gib(free.device)} on GPUs" if free.device else "")
            return f"it needs {_gib(found.size)}, and {there} are free"
        case "partial":
            parts = [f"{found.gpu_layers} of {placement.layers} layers on the GPU"]
            if found.cpu_moe:
                parts.append(f"the experts of {found.cpu_moe} layers in RAM")
            if not placement.spec.kv_offload:
                parts.append("the KV cache in RAM")
            return f"{', '.join(parts)}: {_gib(found.cpu.size)} lie in RAM"
        case "cpu" if free.gpus and not placement.spec.n_gpu_layers and not _asked_for_cpu(placement):
            return f"no layer fits the GPU beside what it computes with: {_gib(free.device)} are free there"
        case _:
            return ""


def _asked_for_cpu(placement: Placement) -> bool:
    return "n_gpu_layers" not in placement.chosen


def _gpu(free: FreeMemory, name: str) -> GpuMemory | None:
    return next((gpu for gpu in free.gpus if gpu.name == name), None)


def _device(name: str, share: Share, free: int) -> DevicePlan:
    return DevicePlan(
        name=name,
        layers=share.layers,
        weights=share.weights,
        kv_cache=share.cache,
        compute=share.compute,
        other=share.other,
        free=free,
    )


def _gib(n: int) -> str:
    return f"{n / GIB:.1f} GiB"
