"""How a model reads as a row, at the width there is."""

from __future__ import annotations

from ollama_engine.types import ModelSummary
from ollama_tui import figures
from ollama_tui.text import one_line
from ollama_tui.widgets.row_table import Column

_MARK = Column("mark", "", 1)
_SIZE = Column("size", "SIZE", 7, right=True)
_PARAMETERS = Column("parameters", "PARAMS", 6, right=True)
_QUANTIZATION = Column("quantization", "QUANT", 7)
_CONTEXT = Column("context", "CTX", 4, right=True)
_CAPABILITIES = Column("capabilities", "CAN", 24)
_MODIFIED = Column("modified", "MODIFIED", 14)

# Every cell has a blank on either side; the scrollbar takes two columns.
_FIXED = (_MARK, _SIZE, _PARAMETERS, _QUANTIZATION, _CONTEXT, _MODIFIED)
_WIDE = (*_FIXED, _CAPABILITIES)


def columns(width: int) -> tuple[Column, ...]:
    """The columns for a table `width` cells wide; capabilities come in where there is room for them."""
    roomy = width >= sum(column.width + 2 for column in _WIDE) + 22
    others = _WIDE if roomy else _FIXED
    name = Column("name", "NAME", max(14, min(44, width - sum(column.width + 2 for column in others) - 4)))
    rest = (_SIZE, _PARAMETERS, _QUANTIZATION, _CONTEXT)
    return (_MARK, name, *rest, *((_CAPABILITIES,) if roomy else ()), _MODIFIED)


def row(model: ModelSummary, *, state: str | None, now: float) -> dict[str, str]:
    """`state` is what the model does in memory, None where it is not there."""
    details = model.details
    return {
        "mark": "" if state is None else "◌" if state == "loading" else "●",
        "name": one_line(model.name),
        "size": figures.size(model.size),
        "parameters": one_line(details.parameter_size),
        "quantization": one_line(details.quantization_level),
        "context": figures.tokens(details.context_length),
        "capabilities": " ".join(map(one_line, model.capabilities)),
        "modified": figures.age(model.modified_at, now),
    }
