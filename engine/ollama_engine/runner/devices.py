"""`python -m ollama_engine.runner.devices`: what ggml finds to compute on, as one line of JSON, and the end.

A process of its own, started by scheduler/devices.py: looking for devices loads the drivers, and a driver that crashes
or hangs then takes nobody else with it.
"""

from __future__ import annotations

import os
import sys

import msgspec

from ollama_engine.runner.protocol import GgmlDevice


def find() -> list[GgmlDevice]:
    from ollama_engine.runner.ggml_devices import all_devices
    from ollama_engine.runner.llama import C

    C.llama_backend_init()
    return [
        GgmlDevice(device.name, device.description, device.kind, device.free, device.total, device.id)
        for device in all_devices()
    ]


def main() -> None:
    # What libraries print goes where it disturbs nobody; the answer alone goes to the parent.
    answer = os.dup(1)
    os.dup2(2, 1)
    os.write(answer, msgspec.json.encode(find()) + b"\n")
    sys.stderr.flush()
    os._exit(0)  # drivers may hang in their destructors


if __name__ == "__main__":
    main()
