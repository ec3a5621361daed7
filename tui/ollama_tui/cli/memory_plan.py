"""Where a model lies in memory, as `show` prints it and `run` warns of it."""

from __future__ import annotations

import click

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import DevicePlan, MemoryPlan, PlanRequest
from ollama_tui import format

Rows = list[tuple[str, ...]]


async def plan_or_none(engine: Engine, model: str) -> MemoryPlan | None:
    """None where the server does not plan, or the model is none that can be planned for: others say why."""
    try:
        return await engine.plan(PlanRequest(model))
    except EngineError:
        return None


async def tell_if_tight(engine: Engine, model: str) -> None:
    """One line on stderr where a model that is to be loaded fits only partly, or not at all."""
    plan = await plan_or_none(engine, model)
    if plan is None or plan.loaded or plan.fit not in ("partial", "none"):
        return
    how = "fits partly on the GPU" if plan.fit == "partial" else "does not fit"
    says = ". ".join(part.rstrip(".") for part in (plan.reason, plan.hint) if part)
    click.echo(format.plain(f"Note: {model} {how}: {says}."), err=True)


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
