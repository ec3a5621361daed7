"""Where the memory of one model goes, as bars under the table."""

from __future__ import annotations

from textual.content import Content

from ollama_engine.types import RunningModel
from ollama_tui import figures
from ollama_tui.text import one_line


def breakdown(model: RunningModel, width: int) -> Content:
    """Lines of `name  bar  figure`; only what was measured."""
    lines = [
        Content.styled(one_line(model.name), "$accent bold") + Content.styled(_facts(model), "$muted"),
    ]
    bar_width = max(8, min(48, width - 40))
    parts = (("weights", model.weights), ("KV cache", model.kv_cache), ("compute", model.compute))
    largest = max(sum(size for _, size in parts), 1)
    for name, size in parts:
        if size:
            lines.append(_bar(name, size / largest, bar_width, figures.size(size), "$primary"))
    if model.context_used and model.context_length:
        cells = model.context_length * max(model.slots, 1)
        text = f"{model.context_used:,} of {cells:,} tokens"
        lines.append(_bar("context", model.context_used / cells, bar_width, text, "$success"))
    return Content("\n").join(lines)


def _facts(model: RunningModel) -> str:
    facts = [
        f"pid {model.pid}" if model.pid else "",
        f"{model.slots_busy} of {model.slots} slots busy" if model.slots else "",
        f"{model.queued} waiting" if model.queued else "",
        f"{figures.per_second(model.tokens_per_second)} tok/s" if model.tokens_per_second else "",
        model.details.quantization_level,
    ]
    return "".join(f" · {one_line(fact)}" for fact in facts if fact)


def _bar(name: str, part: float, width: int, figure: str, style: str) -> Content:
    filled = min(width, max(1, round(part * width)))
    return (
        Content.styled(f"{name:<9} ", "$muted")
        + Content.styled("━" * filled, style)
        + Content.styled("─" * (width - filled), "$border-blurred")
        + Content(f" {figure}")
    )
