"""The lines under the table: what the bundled toy is, and the real model that fits this machine."""

from __future__ import annotations

from textual.content import Content

from ollama_tui import figures, suggestions


def advice(memory: int) -> Content:
    """`memory` in bytes, 0 while it is not known yet."""
    toy = Content.styled("bard", "$accent bold") + Content(f" is {suggestions.TOY_NOTE}.")
    if not memory:
        return toy
    real = suggestions.suggest(memory)
    offer = (
        Content(f"A real model that fits this machine ({figures.size(memory)}): ")
        + Content.styled(real.name, "$success bold")
        + Content(f", {real.note}, {figures.size(real.download)}.")
    )
    way = (
        Content("Get it: ")
        + Content.styled(suggestions.get_command(real), "$primary")
        + Content(", or from a GGUF: ")
        + Content.styled(suggestions.CREATE_COMMAND, "$primary")
    )
    return Content("\n").join((toy, offer, way))
