"""What llama.cpp's log tells that its API does not: the buffers it allocated, and why something failed."""

from __future__ import annotations

import re
from collections import deque

from ollama_engine.runner.protocol import Buffer

WARN_LEVEL = 3
ERROR_LEVEL = 4
CONTINUE_LEVEL = 5
"""ggml_log_level (ggml.h)."""
MIB = 1024 * 1024

_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output)\s+buffer size\s*=\s*([\d.]+)\s*MiB")


class LlamaLog:
    """Collects the log of one runner; pass `write` to `llama.set_log`."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], int] = {}
        self._warnings: deque[str] = deque(maxlen=3)
        self._errors: deque[str] = deque(maxlen=3)
        self._last_level = 0

    def write(self, level: int, text: str) -> None:
        level = self._last_level if level == CONTINUE_LEVEL else level
        self._last_level = level
        if level in (WARN_LEVEL, ERROR_LEVEL) and text.strip(" .\n"):
            (self._errors if level == ERROR_LEVEL else self._warnings).append(text.strip())
        for device, kind, mib in _BUFFER.findall(text):
            # A second line for the same buffer replaces the first: it was reserved again, not added.
            size = int(float(mib) * MIB)
            if kind == "model":
                size += self._buffers.get((device, kind), 0)
            self._buffers[device, kind] = size

    @property
    def buffers(self) -> list[Buffer]:
        return [Buffer(device, kind, size) for (device, kind), size in self._buffers.items() if size]

    @property
    def reason(self) -> str:
        """The last errors, else the last warnings, as one line; empty where there were none."""
        # Each line begins with the C++ function that wrote it.
        lines = [line.split(": ", 1)[-1] for line in self._errors or self._warnings]
        return "; ".join(dict.fromkeys(lines))
