"""How often PS asks, as it is typed."""

from __future__ import annotations

from ollama_engine import setting_values
from ollama_engine.errors import InvalidRequest

SHORTEST = 0.25
NOTE = "1s, 2s, 1m. Longer costs less over a slow line. For good: OLLAMA_TUI_REFRESH"


def read(text: str) -> float:
    """Seconds; ValueError, InvalidRequest where it is no time."""
    return max(SHORTEST, setting_values.seconds(text.strip()))


def problem(text: str) -> str:
    """What is wrong with it, in words; nothing where nothing is."""
    try:
        read(text)
    except (ValueError, InvalidRequest):
        return "A time is written as 2s, 500ms or 1m."
    return ""
