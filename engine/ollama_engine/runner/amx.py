"""Keeps llama.cpp off the matrix units (AMX) of recent Intel processors, whose use crashes in the pinned version.

Its set-up of the tiles is optimized away by common compilers, and the first quantized matrix product ends the process
with SIGILL (llama.cpp PR 26954). A build cannot be told so from pip; but llama.cpp asks the kernel's leave before it
uses them, and the kernel refuses a process that has a stack for signals too small to save their registers on.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path

ROOM = 8192
"""Bytes. The registers of AVX-512 fit (2.7 kB), the 8 kB of the tiles besides do not."""


class SignalStack(ctypes.Structure):
    """stack_t (signal.h)."""

    _fields_ = (("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def is_present() -> bool:
    """Whether this processor has AMX, as Linux tells it. Elsewhere llama.cpp does not use it."""
    if sys.platform != "linux":
        return False
    try:
        return " amx_tile" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


_stacks: dict[int, ctypes.Array[ctypes.c_char]] = {}
"""By thread, for as long as the process lives: the kernel writes there whenever a signal comes."""


def forbid() -> None:
    """Call it before llama.cpp looks for its devices, in the thread that will."""
    stack = _stacks.setdefault(threading.get_ident(), ctypes.create_string_buffer(ROOM))
    request = SignalStack(ctypes.cast(stack, ctypes.c_void_p), 0, ROOM)
    if ctypes.CDLL(None, use_errno=True).sigaltstack(ctypes.byref(request), None) != 0:
        raise OSError(ctypes.get_errno(), "sigaltstack refused")
