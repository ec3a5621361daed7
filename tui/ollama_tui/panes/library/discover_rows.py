"""How a model of the catalog reads: as a row of the table, and whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rich.text import Text
from textual.content import Content

from ollama_engine.known_models import SHOWN_CONTEXT, KnownModel
from ollama_engine.types import Fit
from ollama_tui import figures, format
from ollama_tui.services.catalog import CatalogView
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import CellText, Column

Paint = Callable[[str], str]
"""The colour that a theme has for a part: `success`, `muted` …"""

INSTALLED, COMING = "✓", "↓"
GAP, SCROLLBAR = 2, 2
FIT_COLORS: Mapping[Fit, str] = {"gpu": "success", "partial": "warning", "cpu": "foreground", "none": "error"}
_FIT_WORDS: Mapping[Fit, str] = {"gpu": "GPU", "partial": "GPU+CPU", "cpu": "CPU", "none": "no"}
_FIT_RANKS: Mapping[Fit | None, int] = {"gpu": 0, "partial": 1, "cpu": 2, None: 3, "none": 4}

_MARK = Column("mark", "", 1)
_SIZE = Column("size", "SIZE", 7, right=True)
_FIT = Column("fit", "FITS", 7)
_PARAMETERS = Column("parameters", "PARAMS", 6, right=True)
_CONTEXT = Column("context", "CTX", 5, right=True)
_MEMORY = Column("memory", "MEMORY", 7, right=True)
NAME_WIDTH = 27
NOTE_WIDTHS = (18, 60)


def columns(width: int, order: str, *, descending: bool) -> tuple[Column, ...]:
    """The columns for a table `width` cells wide; the one that the rows are sorted by has an arrow."""
    fixed = [_MARK, Column("name", "NAME", NAME_WIDTH, names=True), _SIZE, _FIT]
    room = width - sum(column.width + GAP for column in fixed) - GAP - SCROLLBAR
    for column in (_PARAMETERS, _CONTEXT, _MEMORY):
        if room - column.width - GAP < (NOTE_WIDTHS[0] if column is not _PARAMETERS else 0):
            break
        fixed.append(column)
        room -= column.width + GAP
    if room >= NOTE_WIDTHS[0]:
        fixed.append(Column("note", "NOTE", min(room, NOTE_WIDTHS[1])))
    return tuple(_headed(column, "▼" if descending else "▲") if column.key == order else column for column in fixed)


def _headed(column: Column, arrow: str) -> Column:
    return Column(column.key, f"{arrow}{column.title}" if column.right else f"{column.title} {arrow}", column.width,
                  column.right)  # fmt: skip


def row(model: KnownModel, fit: Fit | None, mark: str, color: Paint) -> dict[str, CellText]:
    """`mark` says what is here of it already."""
    return {
        "mark": mark,
        "name": one_line(model.name),
        "size": figures.size(model.download),
        "fit": "" if fit is None else Text.assemble((_FIT_WORDS[fit], color(FIT_COLORS[fit]))),
        "parameters": format.parameter_count(model.parameters),
        "context": figures.tokens(model.context),
        "memory": figures.size(model.memory),
        "note": one_line(model.note),
    }


def in_order(models: Iterable[KnownModel], view: CatalogView, order: str, *, descending: bool) -> list[KnownModel]:
    """The models sorted by a column; in the catalog's own order where `order` is empty."""
    keys: dict[str, Callable[[KnownModel], object]] = {
        "name": lambda model: (model.name.partition(":")[0], model.parameters),
        "size": lambda model: model.download,
        "fit": lambda model: (_FIT_RANKS[view.fit(model)], -model.memory),
        "parameters": lambda model: model.parameters,
        "context": lambda model: model.context,
    }
    found = list(models)
    if order:
        found.sort(key=keys[order], reverse=descending)  # pyright: ignore[reportArgumentType]
    return found


def details(model: KnownModel, view: CatalogView, here: Iterable[str]) -> Content:
    """The whole page; `here` are the names of the catalog that are in the store."""
    installed = set(here)
    family = view.family(model)
    parts = [
        Content.styled(one_line(model.name), "$accent bold"),
        Content(one_line(model.note)),
        _facts(model),
        _fit_sentence(model, view),
    ]
    if len(family) > 1:
        sizes = [_size_line(other, view, other.name in installed, other is model) for other in family]
        parts.append(Content.styled("Sizes\n", "$primary bold") + Content("\n").join(sizes))
    if model.name in installed:
        parts.append(Content.styled("In the store already: pulling again looks for a newer one.", "$muted"))
    return Content("\n\n").join(parts)


def _facts(model: KnownModel) -> Content:
    facts = {
        "download": figures.size(model.download),
        "memory": f"{figures.size(model.memory)} with {figures.tokens(min(SHOWN_CONTEXT, model.context))} of context",
        "parameters": format.parameter_count(model.parameters),
        "context": f"{model.context:,} tokens",
        "capabilities": ", ".join(model.capabilities),
        "license": one_line(model.licence),
    }
    return Content("\n").join(Content.styled(f"{name:<14}", "$muted") + Content(value) for name, value in facts.items())


def _fit_sentence(model: KnownModel, view: CatalogView) -> Content:
    fit, memory = view.fit(model), view.memory
    if fit is None or memory is None:
        return Content.styled("The machine's memory is not known yet.", "$muted")
    machine = "this machine" if view.memory_is_here else "the engine's machine"
    there = figures.size(memory.host) + (f", GPU {figures.size(memory.device)}" if memory.device else ", no GPU known")
    words = {
        "gpu": f"Fits whole on the GPU of {machine}",
        "partial": f"Fits partly on the GPU of {machine}, the rest in its RAM: slower",
        "cpu": f"Fits {machine}'s RAM and runs on the CPU",
        "none": f"Does not fit {machine}",
    }[fit]
    return Content.styled(words, f"${FIT_COLORS[fit]}") + Content(f" ({there}).")


def _size_line(model: KnownModel, view: CatalogView, installed: bool, chosen: bool) -> Content:
    fit = view.fit(model)
    mark = INSTALLED if installed else " "
    line = Content.styled(f"{mark} {one_line(model.name):<{NAME_WIDTH}} ", "bold" if chosen else "")
    line += Content(f"{figures.size(model.download):>7}  ")
    return line if fit is None else line + Content.styled(_FIT_WORDS[fit], f"${FIT_COLORS[fit]}")
