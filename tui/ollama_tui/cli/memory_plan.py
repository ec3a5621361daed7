"""Where a model lies in memory, as `show` prints it and `run` tells of it."""

from __future__ import annotations

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import DevicePlan, Fit, MemoryPlan, PlanRequest
from ollama_tui import format

Rows = list[tuple[str, ...]]

WORDS: dict[Fit, str] = {
    "gpu": "fits the GPU",
    "partial": "fits partly on the GPU",
    "cpu": "fits in RAM",
    "none": "does not fit",
}
TIGHT: tuple[Fit, ...] = ("partial", "none")


async def plan_or_none(engine: Engine, model: str) -> MemoryPlan | None:
    """None where the server does not plan, or the model is none that can be planned for: others say why."""
    try:
        return await engine.plan(PlanRequest(model))
    except EngineError:
        return None


async def tell_fit(engine: Engine, model: str, *, always: bool = False) -> None:
    """One line on stderr about a model that is to be loaded: whether it fits, and if not whole, why, and what would
    help. Without `always` only where it does not fit, or only partly; nothing where it is in memory already."""
    plan = await plan_or_none(engine, model)
    if plan is None or plan.loaded or not (always or plan.fit in TIGHT):
        return
    says = ". ".join(part.rstrip(".") for part in (plan.reason, plan.hint) if part)
    about = f"{format.size(plan.size)} with {plan.context_length} tokens of context"
    click.echo(format.plain(f"Note: {model} {WORDS[plan.fit]}: {says or about}."), err=True)


async def tell_fit_before_pull(engine: Engine, model: str) -> None:
    """The same of a model that is not here yet, by what the catalog knows of it; nothing of one that is not in it."""
    from ollama_engine.known_models import SHOWN_CONTEXT, Memory, fits, known_models

    name = model.removeprefix("library/")
    known = next((one for one in known_models().models if one.name == name), None)
    if known is None:
        return
    try:
        devices = await engine.devices()
    except EngineError:  # a server that does not tell what it computes on
        return
    gpu = max((device.total for device in devices if device.kind == "gpu"), default=0)
    host = max((device.total for device in devices if device.kind == "cpu"), default=0)
    words = WORDS[fits(known, Memory(host, gpu))]
    about = f"about {format.size(known.memory)} with {min(SHOWN_CONTEXT, known.context)} tokens of context"
    click.echo(format.plain(f"Note: {model} {words}: {about}."), err=True)


def memory_rows(plan: MemoryPlan) -> Rows:
    """The section that `show` prints."""
    parts = [
        ("weights", plan.weights, ""),
        ("KV cache", plan.kv_cache, _cache_type(plan)),
        ("compute", plan.compute, ""),
        ("runner", plan.other, ""),
    ]
    sized = [(label, f"{format.size(size)}{note}") for label, size, note in parts if size]
    slots = f", {plan.slots} at once" if plan.slots > 1 else ""
    state = ", loaded" if plan.loaded else ""
    rows: Rows = [
        ("fits", f"{format.fit(plan.fit)}{state}"),
        ("size", f"{format.size(plan.size)}{' as measured' if plan.calibrated else ' by estimate'}"),
        *sized,
        ("context", f"{plan.context_length}{slots}"),
        *((device.name, _device(device)) for device in plan.devices if device.layers or device.name == "CPU"),
    ]
    if plan.cpu_moe:
        rows.append(("experts in RAM", f"of {plan.cpu_moe} layers"))
    rows += [(label, text) for label, text in (("reason", plan.reason), ("hint", plan.hint)) if text]
    return rows


def _cache_type(plan: MemoryPlan) -> str:
    types = dict.fromkeys((plan.kv_cache_type_k, plan.kv_cache_type_v))
    return f" ({'/'.join(types)})"


def _device(device: DevicePlan) -> str:
    size = device.weights + device.kv_cache + device.compute + device.other
    layers = f"{device.layers} layers, " if device.layers else ""
    return f"{layers}{format.size(size)} of {format.size(device.free)} free"
