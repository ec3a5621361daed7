"""Weights that lie in memory twice: mapped from their file, and as the copy that the CPU computes with.

ggml keeps matrices of some types in an order of its own (`CPU_REPACK`, `AMX`). It reads them from the mapped file once,
and llama.cpp leaves the pages there: twice the weights, by the system's count, until something else wants the memory.
Here they are let go of after the load; what is still needed of the file comes back from the system's cache at its
first use.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ollama_engine.runner.protocol import Buffer

MAPPED = "CPU_Mapped"
COPIES = ("CPU_REPACK", "AMX")
"""Names of the buffers that hold copies in another order."""
_MADV_DONTNEED = 4
_MAPS = "/proc/self/maps"


def copied_weights(buffers: Sequence[Buffer]) -> int:
    """Bytes of the weights that have a copy beside the mapped file; 0 where nothing is mapped."""
    if not any(buffer.device == MAPPED for buffer in buffers):
        return 0
    return sum(buffer.size for buffer in buffers if buffer.kind == "model" and buffer.device in COPIES)


def without_copied(buffer: Buffer, copied: int) -> Buffer:
    """A buffer as it is needed: what is mapped, less what is only there to be copied from."""
    if buffer.device != MAPPED or buffer.kind != "model":
        return buffer
    return replace(buffer, size=max(0, buffer.size - copied))


def release_mapped(paths: Sequence[str]) -> None:
    """Let go of the pages of these files that are mapped; without effect where the system has no such call."""
    with contextlib.suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for start, end in _mappings({os.path.realpath(path) for path in paths}):
            madvise(start, end - start, _MADV_DONTNEED)  # refused where they are locked, which is right


def _mappings(paths: set[str]) -> Iterator[tuple[int, int]]:
    with open(_MAPS, encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            area, *_, path = line.rstrip("\n").split(maxsplit=5)
            if path in paths:
                start, _, end = area.partition("-")
                yield int(start, 16), int(end, 16)
