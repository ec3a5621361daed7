"""What a model holds in memory, and an engine's refusal in words."""

from __future__ import annotations

from ollama_engine.bench.records import Memory
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.types import RunningModel


async def held_by(engine: Engine, model: str) -> list[RunningModel]:
    """Its runners, loading ones included."""
    return [one for one in await engine.running() if one.name == model]


async def memory_of(engine: Engine, model: str) -> Memory | None:
    """What it holds now; None where it is not in memory."""
    found = [one for one in await held_by(engine, model) if one.state != "loading"]
    if not found:
        return None
    one = max(found, key=lambda running: running.size)
    return Memory(
        size=one.size,
        vram=one.size_vram,
        rss=one.rss,
        weights=one.weights,
        kv_cache=one.kv_cache,
        compute=one.compute,
        measured=sum(share.measured for share in one.devices),
        context=one.context_length,
        slots=one.slots,
    )


def failure_text(error: EngineError) -> str:
    return f"{error.message.rstrip('.')}. {error.hint}" if error.hint else error.message
