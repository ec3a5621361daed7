"""How a model in memory reads as a row, at the width there is."""

from __future__ import annotations

from ollama_engine.types import RunningModel
from ollama_tui import figures
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import Column

_STATE = Column("state", "STATE", 12)
_RSS = Column("rss", "MEMORY", 7, right=True)
_VRAM = Column("vram", "DEVICE", 7, right=True)
_WEIGHTS = Column("weights", "WEIGHTS", 7, right=True)
_KV = Column("kv", "KV", 7, right=True)
_COMPUTE = Column("compute", "COMPUTE", 7, right=True)
_CONTEXT = Column("context", "CONTEXT", 8, right=True)
_USED = Column("used", "USED", 4, right=True)
_SLOTS = Column("slots", "SLOTS", 5, right=True)
_SPEED = Column("speed", "TOK/S", 6, right=True)
_UNTIL = Column("until", "UNLOADS", 8, right=True)

_WIDE = (_STATE, _RSS, _VRAM, _WEIGHTS, _KV, _COMPUTE, _CONTEXT, _USED, _SLOTS, _SPEED, _UNTIL)
_NARROW = (Column("state", "STATE", 11), _RSS, _VRAM, Column("context", "CONTEXT", 8, right=True), _SPEED, _UNTIL)


def columns(width: int) -> tuple[Column, ...]:
    """The columns for a table `width` cells wide; what does not fit stands under the table."""
    others = _WIDE if width >= sum(column.width + 2 for column in _WIDE) + 22 else _NARROW
    name = max(12, min(40, width - sum(column.width + 2 for column in others) - 4))
    return (Column("name", "NAME", name), *others)


def row(model: RunningModel, now: float) -> dict[str, str]:
    return {
        "name": one_line(model.name),
        "state": state(model),
        "rss": figures.size(model.rss or (model.size - model.size_vram)),
        "vram": figures.size(model.size_vram) or "–",
        "weights": figures.size(model.weights),
        "kv": figures.size(model.kv_cache),
        "compute": figures.size(model.compute),
        "context": context(model),
        "used": used(model),
        "slots": f"{model.slots_busy}/{model.slots}" if model.slots else "",
        "speed": figures.per_second(model.tokens_per_second),
        "until": figures.until(model.expires_at, now),
    }


def state(model: RunningModel) -> str:
    """`loading 40%`, `busy`, `idle`; with the length of the queue where there is one."""
    text = model.state or "loaded"
    if model.state == "loading":
        text = f"loading {model.load_progress:.0%}"
    return f"{text} +{model.queued}" if model.queued else text


def context(model: RunningModel) -> str:
    """`8k`, or `8k ×4` where four requests have as much each."""
    total = figures.tokens(model.context_length)
    return f"{total} ×{model.slots}" if model.slots > 1 else total


def used(model: RunningModel) -> str:
    """How full the KV cache is."""
    cells = model.context_length * model.slots
    return f"{model.context_used / cells:.0%}" if cells else ""
