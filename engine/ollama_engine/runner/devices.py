"""`python -m ollama_engine.runner.devices`: what ggml finds to compute on, as one line of JSON, and the end.

A process of its own, started by scheduler/devices.py: looking for devices loads the drivers, and a driver that crashes
or hangs then takes nobody else with it.
"""

from __future__ import annotations

import ctypes
import os
import sys

import msgspec

from ollama_engine.runner.protocol import GgmlDevice

KINDS = ("cpu", "gpu", "igpu", "accel", "meta")
"""ggml_backend_dev_type (ggml-backend.h), in its order."""


class _Props(ctypes.Structure):
    """ggml_backend_dev_props; the capabilities at its end are room that is not read."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("capabilities", ctypes.c_char * 64),
    )


def find() -> list[GgmlDevice]:
    from ollama_engine.runner.llama import C, ggml_library

    C.llama_backend_init()
    ggml = ggml_library()
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Props)]
    ggml.ggml_backend_dev_get_props.restype = None
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        props = _Props()
        ggml.ggml_backend_dev_get_props(ggml.ggml_backend_dev_get(index), ctypes.byref(props))
        found.append(
            GgmlDevice(
                name=_text(props.name),
                description=_text(props.description),
                kind=KINDS[props.type] if 0 <= props.type < len(KINDS) else "accel",
                free=props.memory_free,
                total=props.memory_total,
                id=_text(props.device_id),
            )
        )
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
