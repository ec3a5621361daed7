"""`python -m ollama_engine.runner.build`: what this llama.cpp is built for, as one line of JSON, and the end.

A process of its own, started by build_info.py: one that is built for another processor dies here of its first
instruction, and its parent can tell.
"""

from __future__ import annotations

import ctypes
import os
import sys

import msgspec

from ollama_engine.runner.protocol import LlamaBuild


def find() -> LlamaBuild:
    from ollama_engine.runner.llama import C, ggml_library

    C.llama_backend_init()
    ggml = ggml_library()
    ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
    ggml.ggml_backend_reg_get.restype = ctypes.c_void_p
    ggml.ggml_backend_reg_get.argtypes = [ctypes.c_size_t]
    for function in (ggml.ggml_backend_reg_name, ggml.ggml_version, ggml.ggml_commit):
        function.restype = ctypes.c_char_p
    ggml.ggml_backend_reg_name.argtypes = [ctypes.c_void_p]
    registries = range(ggml.ggml_backend_reg_count())
    return LlamaBuild(
        ggml=_text(ggml.ggml_version()),
        commit=_text(ggml.ggml_commit()),
        backends=[_text(ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(index))) for index in registries],
        features=features(_text(C.llama_print_system_info())),
        gpu_offload=bool(C.llama_supports_gpu_offload()),
    )


def features(system_info: str) -> list[str]:
    """The names that `CPU : SSE3 = 1 | AVX2 = 1 | CUDA : ARCHS = 890 |` says of the processor."""
    found: list[str] = []
    backend = ""
    for part in system_info.split("|"):
        name, _, value = part.rpartition("=")
        if ":" in name:
            backend, _, name = name.partition(":")
        if backend.strip() == "CPU" and value.strip() == "1":
            found.append(name.strip())
    return found


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def main() -> None:
    # What libraries print goes where it disturbs nobody; the answer alone goes to the parent.
    answer = os.dup(1)
    os.dup2(2, 1)
    os.write(answer, msgspec.json.encode(find()) + b"\n")
    sys.stderr.flush()
    os._exit(0)  # drivers may hang in their destructors


if __name__ == "__main__":
    main()
