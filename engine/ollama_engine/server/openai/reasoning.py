"""`reasoning_effort` to Ollama's `think` (spec §2.2)."""

from __future__ import annotations

from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.types import Think

_THINK: dict[str, Think] = {
    "": None,
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}


def think_of(reasoning: Any, effort: Any = None) -> Think:
    """`{"effort": ...}` or the effort alone; the former wins. None where neither says anything."""
    value = reasoning.get("effort") if isinstance(reasoning, dict) else None
    value = effort if value is None else value
    if value is None:
        return None
    if not isinstance(value, str) or value not in _THINK:
        wanted = ", ".join(f'"{name}"' for name in _THINK if name)
        raise InvalidRequest(f'invalid reasoning value: "{value}" (must be {wanted})')
    return _THINK[value]
