"""How a model in memory reads as a row, at the width there is."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from ollama_engine.types import RunningModel
from ollama_tui import figures
from ollama_tui.services.history import Samples
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar
from ollama_tui.widgets.row_table import CellText, Column
from ollama_tui.widgets.sparkline import sparkline

Paint = Callable[[str], str]
"""The colour that a theme has for a part: `success`, `muted` …"""

GAP = 2
"""Cells between two columns."""
NAME_WIDTHS = (16, 40)

# What changes often stands at the left: see RowTable.
_STATE = Column("state", "STATE", 11)
_UNTIL = Column("until", "UNLOADS", 7, right=True)
_LEFT = Column("left", "", 6)
_SPEED = Column("speed", "TOK/S", 6, right=True)
_TREND = Column("trend", "LAST", 12)
_PROMPT = Column("prompt", "PROMPT/S", 8, right=True)
_USED = Column("used", "USED", 4, right=True)
_SLOTS = Column("slots", "SLOTS", 5, right=True)
_CONTEXT = Column("context", "CONTEXT", 8, right=True)
_RSS = Column("rss", "MEMORY", 7, right=True)
_VRAM = Column("vram", "DEVICE", 7, right=True)
_WEIGHTS = Column("weights", "WEIGHTS", 7, right=True)
_KV = Column("kv", "KV", 7, right=True)
_COMPUTE = Column("compute", "COMPUTE", 7, right=True)

_ALL = (
    _STATE, _UNTIL, _LEFT, _SPEED, _TREND, _PROMPT, _USED, _SLOTS, _CONTEXT, _RSS, _VRAM, _WEIGHTS, _KV, _COMPUTE,
)  # fmt: skip
_BY_WORTH = (
    _STATE, _UNTIL, _LEFT, _SPEED, _RSS, _VRAM, _USED, _PROMPT, _SLOTS, _TREND, _CONTEXT, _WEIGHTS, _KV, _COMPUTE,
)  # fmt: skip


def columns(width: int) -> tuple[Column, ...]:
    """The columns for a table `width` cells wide; what does not fit stands under the table."""
    least, most = NAME_WIDTHS
    room = width - least - GAP
    shown: set[str] = set()
    for column in _BY_WORTH:
        room -= column.width + GAP
        if room < 0:
            break
        shown.add(column.key)
    others = tuple(column for column in _ALL if column.key in shown)
    name = width - sum(column.width + GAP for column in others) - GAP
    return (Column("name", "NAME", max(least, min(most, name)), names=True), *others)


def row(model: RunningModel, now: float, trend: Samples, color: Paint) -> dict[str, CellText]:
    return {
        "name": one_line(model.name),
        "state": Text.assemble((state(model), color(_STATE_COLORS.get(model.state, "foreground")))),
        "until": time_left(model, now),
        "left": Text.assemble((left_bar(model), color("primary"))),
        "speed": figures.per_second(model.tokens_per_second),
        "trend": Text.assemble((sparkline(trend, _TREND.width) if any(trend) else "", color("primary"))),
        "prompt": figures.per_second(model.prompt_tokens_per_second),
        "used": used(model),
        "slots": f"{model.slots_busy}/{model.slots}" if model.slots else "",
        "context": context(model),
        "rss": figures.size(model.rss or (model.size - model.size_vram)),
        "vram": figures.size(on_devices(model)) or ("–" if model.size else ""),
        "weights": figures.size(model.weights),
        "kv": figures.size(model.kv_cache),
        "compute": figures.size(model.compute),
    }


_STATE_COLORS = {"busy": "success", "loading": "warning", "stopping": "warning"}


def state(model: RunningModel) -> str:
    """`loading 40%`, `busy`, `idle`; with the length of the queue where there is one."""
    text = model.state or "loaded"
    if model.state == "loading":
        text = f"loading {model.load_progress:.0%}"
    return f"{text} +{model.queued}" if model.queued else text


def left_bar(model: RunningModel) -> str:
    """Runs down with the time of an idle model, where both its ends are known."""
    if model.pinned or model.state != "idle" or (model.keep_alive or 0) <= 0 or model.expires_in is None:
        return ""
    return "".join(bar(model.expires_in / (model.keep_alive or 1), _LEFT.width))


def time_left(model: RunningModel, now: float) -> str:
    """`4:31` until it is unloaded; `never`, `pinned`; nothing while it loads or leaves."""
    if model.state in ("loading", "stopping"):
        return ""
    if model.pinned:
        return "pinned"
    if model.expires_in is None:  # a server that says a time of its own clock alone
        return figures.until(model.expires_at, now)
    return figures.duration(model.expires_in) if model.expires_in >= 0 else "never"


def on_devices(model: RunningModel) -> int:
    """Bytes on devices: by their drivers where those tell, else the buffers that were allocated there."""
    measured = sum(share.measured for share in model.devices)
    return measured or model.size_vram


def context(model: RunningModel) -> str:
    """`8k`, or `8k ×4` where four requests have as much each."""
    total = figures.tokens(model.context_length)
    return f"{total} ×{model.slots}" if model.slots > 1 else total


def used(model: RunningModel) -> str:
    """How full the KV cache is."""
    return f"{model.context_used / model.context_total:.0%}" if model.context_total else ""
