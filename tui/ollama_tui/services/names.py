"""Names of models as the store reads them: the workstation's one door to that."""

from __future__ import annotations

from ollama_engine.errors import InvalidName
from ollama_engine.store.names import ModelName, parse

__all__ = ["ModelName", "parse", "problem"]


def problem(text: str) -> str:
    """Why a text is no name of a model, in words; "" where it is one."""
    try:
        parse(text)
    except InvalidName as error:
        return error.message
    return ""
