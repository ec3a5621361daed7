"""ggml's devices: the part of its API that the binding leaves out. For the child processes alone.

Call `llama_backend_init` first: it loads the backends, and with them the drivers.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ollama_engine.runner.llama import ggml_library

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


@dataclass(frozen=True)
class DeviceHandle:
    """A device as ggml describes it, memory in bytes, and its address for calls of the C API."""

    handle: int
    name: str
    description: str
    kind: str
    free: int
    total: int
    id: str

    @property
    def takes_layers(self) -> bool:
        """Whether weights can be put on it: the CPU has those that nobody else has, accelerators work with the CPU."""
        return self.kind in ("gpu", "igpu")


def all_devices() -> list[DeviceHandle]:
    """Every device, in ggml's order."""
    ggml = ggml_library()
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Props)]
    ggml.ggml_backend_dev_get_props.restype = None
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        handle, props = ggml.ggml_backend_dev_get(index), _Props()
        ggml.ggml_backend_dev_get_props(handle, ctypes.byref(props))
        found.append(
            DeviceHandle(
                handle=handle,
                name=_text(props.name),
                description=_text(props.description),
                kind=KINDS[props.type] if 0 <= props.type < len(KINDS) else "accel",
                free=props.memory_free,
                total=props.memory_total,
                id=_text(props.device_id),
            )
        )
    return found


def cpu_buffer_type() -> int:
    """Where tensors lie that are in plain RAM: the address of a ggml_backend_buffer_type."""
    ggml = ggml_library()
    ggml.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p
    return ggml.ggml_backend_cpu_buffer_type()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
