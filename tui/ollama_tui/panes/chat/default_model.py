"""Which model a new conversation begins with."""

from __future__ import annotations

from collections.abc import Sequence

from ollama_engine.types import ModelSummary, RunningModel
from ollama_tui import suggestions


def can_chat(model: ModelSummary) -> bool:
    """Whether the model writes text; one whose capabilities are not known is given the benefit of the doubt."""
    return not model.capabilities or "completion" in model.capabilities


def default_model(models: Sequence[ModelSummary], running: Sequence[RunningModel]) -> str:
    """One that is in memory, else the newest real one, else the toy; empty where there is none."""
    loaded = {one.name for one in running}
    able = [model for model in models if can_chat(model)]
    able.sort(key=lambda model: (model.name not in loaded, suggestions.is_toy(model.name)))
    return able[0].name if able else ""
