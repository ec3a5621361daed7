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

_NO_MEMORY = re.compile(
    r"out of memory|(failed|unable) to allocate|insufficient memory|bad_alloc|cannot allocate memory"
    r"|outof(host|device|pool)?memory|memoryerror|mem_buffer != null",
    re.IGNORECASE,
)
"""What llama.cpp, ggml, its backends and their drivers say where memory is what they lack; last an assert."""
_NOT_LOCKED = re.compile(r"failed to mlock \d+-byte buffer .*?: (.*)")
_BUFFER = re.compile(r"(\S+)\s+(model|KV|RS|compute|output)\s+buffer size\s*=\s*([\d.]+)\s*MiB")


def lacks_memory(text: str) -> bool:
    """Whether a message says that memory was lacking."""
    return _NO_MEMORY.search(text) is not None


class LlamaLog:
    """Collects the log of one runner; pass `write` to `llama.set_log`."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], int] = {}
        self._warnings: deque[str] = deque(maxlen=3)
        self._errors: deque[str] = deque(maxlen=3)
        self._last_level = 0
        self.out_of_memory = False
        """Whether an error has been that there is no memory for something."""
        self.not_locked = ""
        """Why weights could not be locked in memory; empty where nobody tried, or they were."""

    def write(self, level: int, text: str) -> None:
        level = self._last_level if level == CONTINUE_LEVEL else level
        self._last_level = level
        if level in (WARN_LEVEL, ERROR_LEVEL) and text.strip(" .\n"):
            (self._errors if level == ERROR_LEVEL else self._warnings).append(text.strip())
        if level == ERROR_LEVEL and lacks_memory(text):
            self.out_of_memory = True
        if found := _NOT_LOCKED.search(text):
            self.not_locked = found[1]
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
