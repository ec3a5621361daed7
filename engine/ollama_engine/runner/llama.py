"""The binding itself. With mtmd.py the only importer of llama_cpp; the small classes over it are llama_*.py's.

It stands on llama-cpp-python's low-level API, whose signatures follow llama.cpp's C header and change between
releases: the dependency is pinned to one exact version, and a new one is tried against tests/engine/runner first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import llama_cpp.llama_cpp as C
else:
    # llama_cpp/__init__.py imports the high-level API: chat formats, disk caches and templates that nobody uses here,
    # and with them 0.3 s and 40 MB in every runner. A bare package object in its place leaves the binding alone.
    if "llama_cpp" not in sys.modules:
        _spec = importlib.util.find_spec("llama_cpp")
        if _spec is None or not _spec.submodule_search_locations:
            raise ImportError("llama-cpp-python is not installed")
        _package = types.ModuleType("llama_cpp")
        _package.__path__ = list(_spec.submodule_search_locations)
        sys.modules["llama_cpp"] = _package
    import llama_cpp.llama_cpp as C

__all__ = ["C", "LlamaError", "ggml_library", "set_log"]


class LlamaError(Exception):
    """llama.cpp refused; the log has the reason."""


def ggml_library() -> ctypes.CDLL:
    """ggml itself, under llama.cpp: its device API, which the binding leaves out."""
    import llama_cpp._ggml

    return llama_cpp._ggml.libggml


def set_log(callback: Callable[[int, str], None]) -> object:
    """Send llama.cpp's log to `callback(level, text)`; keep what this returns for as long as the library is used."""

    @C.llama_log_callback
    def forward(level: int, text: bytes, _user_data: int) -> None:
        callback(level, text.decode("utf-8", "replace"))

    C.llama_log_set(forward, ctypes.c_void_p())
    return forward
