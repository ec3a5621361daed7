"""What an answer says before its first word: text, not an animation, so that a slow line stays quiet."""

from __future__ import annotations

from ollama_engine.types import RunningModel
from ollama_tui.text import one_line


def waiting_text(model: str, running: tuple[RunningModel, ...]) -> str:
    """`loading bard… 40 %` while the model comes into memory, else that it reads the prompt."""
    short = model.removesuffix(":latest")
    there = next((one for one in running if one.name.removesuffix(":latest") == short), None)
    if there is None:
        return f"loading model {one_line(short)}…"
    if there.state == "loading":
        percent = f" {there.load_progress:.0%}" if there.load_progress else ""
        return f"loading model {one_line(short)}…{percent}"
    return "reading the prompt…" if there.state != "stopping" else "waiting for the model to make room…"
