"""How a pull reads as a row, at the width there is."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from ollama_tui import figures
from ollama_tui.services.pull_progress import Pull
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar
from ollama_tui.widgets.row_table import CellText, Column
from ollama_tui.widgets.sparkline import sparkline

Paint = Callable[[str], str]
"""The colour that a theme has for a part: `success`, `muted` …"""

GAP = 2
NAME_WIDTHS = (20, 56)
WIDE = 110

_STATE = Column("state", "STATE", 9)
_PART = Column("part", "", 4, right=True)
_SPEED = Column("speed", "SPEED", 9, right=True)
_LEFT = Column("left", "LEFT", 7, right=True)
_SIZE = Column("size", "SIZE", 7, right=True)

WORDS = {"running": "pulling", "queued": "waiting", "elsewhere": "elsewhere"}
_COLORS = {"running": "success", "failed": "error", "paused": "warning", "done": "muted", "elsewhere": "muted"}


def columns(width: int) -> tuple[Column, ...]:
    wide = width >= WIDE
    trend = (Column("trend", "LAST", 20),) if wide else ()
    # What changes often stands at the left: see RowTable.
    others = (_STATE, _PART, Column("bar", "", 24 if wide else 9), _SPEED, _LEFT, *trend, _SIZE)
    least, most = NAME_WIDTHS
    room = width - sum(column.width + GAP for column in others) - GAP
    return (Column("name", "MODEL", max(least, min(most, room)), names=True), *others)


def row(pull: Pull, width: int, color: Paint) -> dict[str, CellText]:
    view = pull.view
    filled, _ = bar(pull.part, width)
    return {
        "name": one_line(view.name),
        "state": Text.assemble((state(pull), color(_COLORS.get(view.state, "foreground")))),
        "part": percent(pull.part) if view.total or view.state == "done" else "",
        "bar": Text.assemble((filled, color("success" if view.state == "done" else "primary"))),
        "speed": speed(pull.speed),
        "left": figures.clock(pull.eta) if pull.eta is not None else "",
        "trend": Text.assemble((sparkline(pull.history, 20) if any(pull.history) else "", color("primary"))),
        "size": figures.size(view.total),
    }


def state(pull: Pull) -> str:
    """`pulling`, `waiting`, `verifying`, `disk full` …"""
    view = pull.view
    if view.state == "running" and view.status and not view.status.startswith("pulling"):
        return one_line(view.status.split()[0])
    if view.state == "paused" and view.error:
        return "stopped"
    return WORDS.get(view.state, view.state)


def percent(part: float) -> str:
    """Whole percents; 100 is what is done."""
    return f"{int(part * 100)}%"


def speed(value: float) -> str:
    return f"{figures.size(int(value))}/s" if value >= 1 else ""
