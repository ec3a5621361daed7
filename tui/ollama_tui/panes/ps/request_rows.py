"""How a request reads as a row, at the width there is."""

from __future__ import annotations

from ollama_engine.types import RequestView
from ollama_tui import figures
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import CellText, Column

WIDE = 110
GAP = 2

# What changes often stands at the left: see RowTable.
_NARROW = (
    Column("state", "REQUEST", 14),
    Column("since", "SINCE", 7, right=True),
    Column("output", "TOKENS", 7, right=True),
    Column("speed", "TOK/S", 6, right=True),
)
_WIDE = (
    *_NARROW,
    Column("prompt", "PROMPT", 7, right=True),
    Column("kind", "KIND", 8),
    Column("id", "ID", 12),
)


def columns(width: int) -> tuple[Column, ...]:
    others = _WIDE if width >= WIDE else _NARROW
    room = max(2, width - sum(column.width + GAP for column in others) - 2 * GAP)
    model = min(40, room * 3 // 5)
    return (*others, Column("model", "MODEL", model, names=True), Column("client", "CLIENT", min(40, room - model)))


def row(request: RequestView, now: float) -> dict[str, CellText]:
    began = figures.timestamp(request.created_at)
    return {
        "state": f"{request.state} {request.position}" if request.position else request.state,
        "since": figures.clock(now - began) if began is not None else "",
        "output": f"{request.output_tokens:,}" if request.output_tokens else "",
        "speed": figures.per_second(request.tokens_per_second),
        "prompt": f"{request.prompt_tokens:,}" if request.prompt_tokens else "",
        "kind": request.kind,
        "id": one_line(request.id),
        "model": one_line(request.model),
        "client": one_line(request.client),
    }
