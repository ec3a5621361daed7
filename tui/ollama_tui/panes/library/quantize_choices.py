"""The types that a model can be quantized to from the Library, what comes of each, and how it would be called."""

from __future__ import annotations

from difflib import get_close_matches

from ollama_engine.types import ModelSummary
from ollama_tui import figures
from ollama_tui.panes.library.order import parameter_count
from ollama_tui.panes.library.precision import BITS, FINEST_FIRST, FULL_PRECISION, SHORT_NAMES

USUAL = "Q4_K_M"

_NOTES = {
    "Q8_0": "loses nothing to speak of",
    "Q6_K": "hardly to be told from Q8_0",
    "Q4_K_M": "the usual choice",
    "Q2_K": "loses much",
}


def is_quantized(model: ModelSummary) -> bool:
    level = model.details.quantization_level.upper()
    return bool(level) and level not in FULL_PRECISION


def choices(model: ModelSummary) -> list[tuple[str, str, str]]:
    """Key, words, note of each type that is smaller than what the model has."""
    names = list(BITS)
    level = model.details.quantization_level.upper()
    if is_quantized(model) and level in BITS:
        names = [name for name in names if BITS[name] < BITS[level]]
    parameters = parameter_count(model.details.parameter_size)
    shown: list[tuple[str, str, str]] = []
    for name in names:
        size = f"about {figures.size(int(parameters * BITS[name] / 8))}" if parameters else ""
        shown.append((name, name, ", ".join(filter(None, (size, _NOTES.get(name, ""))))))
    return shown


def problem(kind: str) -> str:
    """Why there is no such type, in words; "" where there is."""
    if kind.upper() in (*FINEST_FIRST, *SHORT_NAMES):
        return ""
    near = get_close_matches(kind.upper(), FINEST_FIRST, n=1)
    return f"There is no type {kind}; " + (f"did you mean {near[0]}?" if near else f"{USUAL} is {_NOTES[USUAL]}.")


def name_for(model: str, kind: str) -> str:
    """`llama3.1:8b` at Q4_K_M is `llama3.1:8b-q4_K_M`."""
    base, _, tag = model.rpartition(":")
    written = kind[0].lower() + kind[1:]
    return f"{base}:{written}" if tag == "latest" else f"{base}:{tag}-{written}"
