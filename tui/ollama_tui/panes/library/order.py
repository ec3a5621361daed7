"""Which models the table shows, and in which order: words of a filter, a column to sort by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ollama_engine.types import Fit, ModelSummary
from ollama_tui import figures
from ollama_tui.panes.library.precision import FINEST_FIRST

FITS: tuple[Fit, ...] = ("gpu", "partial", "cpu", "none")
"""From the best to the worst."""

KEYS = ("name", "size", "parameters", "quantization", "context", "fit", "family", "capabilities", "modified", "loaded")
_RISING = frozenset(("name", "quantization", "fit", "family"))
"""What is read from the smallest up when it is first sorted by; figures and times begin with the largest."""
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_PLACES = {name: place for place, name in enumerate(FINEST_FIRST)}


@dataclass(frozen=True)
class Sort:
    """Which column, and whether the smallest stands first. Newest first is how the engine lists them."""

    key: str = "modified"
    rising: bool = False

    def by(self, key: str) -> Sort:
        """Sorted by that column; the other way round where it is the one already."""
        if key == self.key:
            return replace(self, rising=not self.rising)
        return Sort(key, key in _RISING)


def matches(model: ModelSummary, words: Iterable[str]) -> bool:
    """Whether every word stands in the name, family, quantization or capabilities, and no `!word` does."""
    details = model.details
    text = " ".join((model.name, details.family, details.quantization_level, *model.capabilities)).lower()
    return all(word[1:] not in text if word.startswith("!") and len(word) > 1 else word in text for word in words)


def filtered(models: Iterable[ModelSummary], text: str) -> list[ModelSummary]:
    words = text.lower().split()
    return [model for model in models if matches(model, words)]


def ordered(
    models: Iterable[ModelSummary], sort: Sort, *, fits: Mapping[str, Fit], loaded: Iterable[str]
) -> list[ModelSummary]:
    """By the column, equals by name; what is not known stands last, whichever way round. `fits` by digest."""
    in_memory = frozenset(loaded)

    def value(model: ModelSummary) -> float | str | None:
        details = model.details
        match sort.key:
            case "name":
                return model.name.lower()
            case "size":
                return model.size or None
            case "parameters":
                return parameter_count(details.parameter_size)
            case "quantization":
                return _PLACES.get(details.quantization_level.upper())
            case "context":
                return details.context_length or None
            case "fit":
                fit = fits.get(model.digest)
                return FITS.index(fit) if fit else None
            case "family":
                return details.family.lower() or None
            case "capabilities":
                return len(model.capabilities)
            case "loaded":
                return int(model.name in in_memory)
            case _:
                return figures.timestamp(model.modified_at)

    by_name = sorted(models, key=lambda model: model.name.lower())
    valued = [(value(model), model) for model in by_name]
    known = [(key, model) for key, model in valued if key is not None]
    known.sort(key=lambda pair: pair[0], reverse=not sort.rising)
    return [model for _, model in known] + [model for key, model in valued if key is None]


def parameter_count(text: str) -> float | None:
    """`7.6B` as a number, None where it is none."""
    match = re.fullmatch(r"([0-9.]+)\s*([KMBT]?)", text.strip().upper())
    if match is None:
        return None
    try:
        return float(match[1]) * _UNITS.get(match[2], 1.0)
    except ValueError:
        return None
