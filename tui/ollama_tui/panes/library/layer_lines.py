"""The blobs that a model is made of, and the models that it shares them with."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ollama_engine.types import LayerView
from ollama_tui import figures
from ollama_tui.text import one_line

_MOST_NAMES = 6


def layer_lines(layers: Sequence[LayerView]) -> Content:
    lines = [_line(layer) for layer in layers]
    own = {layer.digest: layer.frees for layer in layers if not layer.models}
    freed = figures.size(sum(own.values())) or "nothing"
    lines.append(Content.styled(f"\nA delete frees {freed}.", "$muted"))
    return Content("\n").join(lines)


def _line(layer: LayerView) -> Content:
    digest = layer.digest.removeprefix("sha256:")[:12]
    line = (
        Content.styled(f"{one_line(layer.kind):<10}", "$primary")
        + Content(f"{figures.size(layer.size) or '0 B':>7}  ")
        + Content.styled(digest, "$muted")
    )
    if layer.models:
        line += Content.styled(f"\n          shared with {names(layer.models)}", "$muted")
    return line


def names(models: Sequence[str]) -> str:
    """Some names and how many more there are."""
    shown = ", ".join(map(one_line, models[:_MOST_NAMES]))
    more = len(models) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
