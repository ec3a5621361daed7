"""What to offer beside the bundled toy: a real model that fits this machine. Used by the panes and the command line."""

from __future__ import annotations

from ollama_engine.known_models import KnownModel, known_models
from ollama_engine.known_models import machine_memory as _memory

TOY = "bard"
TOY_NOTE = "a toy that babbles in Shakespeare's manner: a sign that everything works, not a model to rely on"

GB = 1_000_000_000


SHARE = 2 / 3
"""Of the memory, what a suggested model may take: it should leave room to work."""

PREFERRED = ("qwen2.5:32b", "qwen2.5:14b", "llama3.1:8b", "llama3.2:3b", "llama3.2:1b")
"""Of the known models, those that are good for anything, the largest first."""

CREATE_COMMAND = "ollama-tui create NAME -f Modelfile"


def is_toy(name: str) -> bool:
    """Whether this is the bundled model."""
    return name.removesuffix(":latest") == TOY


def suggest(memory: int) -> KnownModel:
    """The largest preferred model that fits `memory` bytes with room for the system; the smallest where none does."""
    known = {model.name: model for model in known_models().models}
    preferred = [known[name] for name in PREFERRED]
    return next((model for model in preferred if model.memory <= memory * SHARE), preferred[-1])


def get_command(model: KnownModel) -> str:
    """The command that gets it."""
    return f"ollama-tui pull {model.name}"


def machine_memory() -> int:
    """Bytes a model may use here: the largest device's memory, or the host's where that is more."""
    memory = _memory()
    return max(memory.host, memory.device)
