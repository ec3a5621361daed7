"""What to offer beside the bundled toy: a real model that fits this machine. Used by the panes and the command line."""

from __future__ import annotations

from dataclasses import dataclass

TOY = "bard"
TOY_NOTE = "a toy that babbles in Shakespeare's manner: a sign that everything works, not a model to rely on"

GB = 1_000_000_000


@dataclass(frozen=True)
class Suggestion:
    """A real model for machines with at least `memory` bytes."""

    memory: int
    name: str
    download: int
    note: str

    @property
    def get(self) -> str:
        """The command that gets it."""
        return f"ollama-tui pull {self.name}"


# Sizes are those of the registry's default quantization (Q4_K_M); each leaves room for an 8k context and the system.
SUGGESTIONS: tuple[Suggestion, ...] = (
    Suggestion(40 * GB, "qwen2.5:32b", 19_900_000_000, "a large model, strong at code and reasoning"),
    Suggestion(22 * GB, "qwen2.5:14b", 9_000_000_000, "a capable all-round model"),
    Suggestion(11 * GB, "llama3.1:8b", 4_900_000_000, "a good all-round model"),
    Suggestion(6 * GB, "llama3.2:3b", 2_000_000_000, "a small and quick model"),
    Suggestion(0, "llama3.2:1b", 1_300_000_000, "a very small model, the quickest"),
)

CREATE_COMMAND = "ollama-tui create NAME -f Modelfile"


def is_toy(name: str) -> bool:
    """Whether this is the bundled model."""
    return name.removesuffix(":latest") == TOY


def suggest(memory: int) -> Suggestion:
    """The largest model that fits `memory` bytes with room to work."""
    return next(suggestion for suggestion in SUGGESTIONS if memory >= suggestion.memory)


def machine_memory() -> int:
    """Bytes a model may use here: the largest device's memory, or the host's where that is more."""
    import psutil

    return max(psutil.virtual_memory().total, _largest_nvidia_device())


def _largest_nvidia_device() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return max((int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles), default=0)
    except pynvml.NVMLError:
        return 0
    finally:
        pynvml.nvmlShutdown()
