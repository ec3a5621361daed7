"""How a model reads as a row, at the width there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rich.text import Text

from ollama_engine.types import Fit, ModelSummary
from ollama_tui import figures
from ollama_tui.panes.library.order import Sort
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import CellText, Column

Paint = Callable[[str], str]
"""The colour that a theme has for a part: `success`, `muted` …"""

GAP = 2
"""Cells between two columns."""
NAME_WIDTHS = (20, 44)

_MARK = Column("loaded", "", 3)
_SIZE = Column("size", "SIZE", 7, right=True)
_PARAMETERS = Column("parameters", "PARAMS", 7, right=True)
_QUANTIZATION = Column("quantization", "QUANT", 7)
_CONTEXT = Column("context", "CTX", 4, right=True)
_FIT = Column("fit", "FITS", 5)
_FAMILY = Column("family", "FAMILY", 10)
_CAPABILITIES = Column("capabilities", "CAN", 22)
_AGE = Column("modified", "AGE", 6)

_BY_WORTH = (_SIZE, _QUANTIZATION, _FIT, _AGE, _PARAMETERS, _CONTEXT, _FAMILY, _CAPABILITIES)
_IN_ORDER = (_SIZE, _PARAMETERS, _QUANTIZATION, _CONTEXT, _FIT, _FAMILY, _CAPABILITIES, _AGE)

FIT_WORDS: dict[Fit, str] = {"gpu": "GPU", "partial": "part", "cpu": "CPU", "none": "no"}
_FIT_COLORS: dict[Fit, str] = {"gpu": "success", "partial": "warning", "cpu": "foreground", "none": "error"}


def columns(width: int, sort: Sort) -> tuple[Column, ...]:
    """The columns for a table `width` cells wide; an arrow in the title of one says that rows are sorted by it."""
    least, most = NAME_WIDTHS
    room = width - 1 - sum(column + GAP for column in (_MARK.width, least))  # one for the scrollbar
    shown: set[str] = set()
    for column in _BY_WORTH:
        room -= column.width + GAP
        if room < 0:
            break
        shown.add(column.key)
    others = tuple(column for column in _IN_ORDER if column.key in shown)
    name = width - 1 - sum(column.width + GAP for column in (_MARK, *others)) - GAP
    every = (_MARK, Column("name", "NAME", max(min(name, most), min(least, max(8, name))), names=True), *others)
    return tuple(_titled(column, sort) for column in every)


def _titled(column: Column, sort: Sort) -> Column:
    if column.key != sort.key:
        return column
    return replace(column, title=f"{column.title}{'▲' if sort.rising else '▼'}")


@dataclass(frozen=True)
class Marks:
    """What is known of a model beside what it is. `state` is what it does in memory, "" where it is not there."""

    marked: bool = False
    state: str = ""
    newer: bool = False
    fit: Fit | None = None


def row(model: ModelSummary, marks: Marks, *, now: float, color: Paint) -> dict[str, CellText]:
    details = model.details
    loaded = "" if not marks.state else "◌" if marks.state == "loading" else "●"
    return {
        "loaded": Text.assemble(
            ("✓" if marks.marked else " ", color("accent")),
            (loaded or " ", color("success")),
            ("↑" if marks.newer else " ", color("warning")),
        ),
        "name": one_line(model.name),
        "size": figures.size(model.size),
        "parameters": one_line(details.parameter_size),
        "quantization": one_line(details.quantization_level),
        "context": figures.tokens(details.context_length),
        "fit": Text.assemble((FIT_WORDS[marks.fit], color(_FIT_COLORS[marks.fit]))) if marks.fit else "",
        "family": one_line(details.family),
        "capabilities": " ".join(one_line(word) for word in model.capabilities if word != "completion"),
        "modified": short_age(model.modified_at, now),
    }


def short_age(moment: str, now: float) -> str:
    """How long ago an RFC 3339 moment was, in six cells at the most: `now`, `5 min`, `2 w`."""
    words = figures.age(moment, now).split()
    if len(words) < 2 or words[0] == "just":
        return "now" if words else ""
    units = {"minute": "min", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}
    return f"{words[0]} {units[words[1].removesuffix('s')]}"
