"""From a LoadSpec to llama.cpp's parameters of a model: devices, their shares, what stays in RAM, how the file is read.

Used by llama_model.py. NUMA is set here too: it holds for the whole process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from ollama_engine.runner.ggml_devices import DeviceHandle, all_devices, cpu_buffer_type
from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.protocol import PROCESSOR, LoadSpec

SPLIT_MODES = {
    "none": C.LLAMA_SPLIT_MODE_NONE,
    "layer": C.LLAMA_SPLIT_MODE_LAYER,
    "row": C.LLAMA_SPLIT_MODE_ROW,
}
NUMA = {"distribute": 1, "isolate": 2, "numactl": 3}
"""ggml_numa_strategy (ggml-cpu.h)."""

EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""Names of the tensors of experts, as llama.cpp's --cpu-moe has them (common.h, LLM_FFN_EXPS_REGEX)."""
MAX_LAYERS = 512
"""LLAMA_MAX_LAYERS."""


class CannotLoadSo(LlamaError):
    """The spec asks for what there is not on this machine: nothing is wrong with the model."""


class Override(ctypes.Structure):
    """llama_model_tensor_buft_override (llama.h): tensors whose names match go into buffers of this type."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


class ModelParams:
    """`struct` is good for as long as this is kept: it points to what lies here."""

    def __init__(self, spec: LoadSpec, on_progress: Callable[[float], bool]) -> None:
        """Call it after `llama_backend_init`.

        Raises:
            CannotLoadSo: a device that is not there.
        """

        @C.llama_progress_callback
        def progress(fraction: float, _user_data: int) -> bool:
            return on_progress(fraction)

        params: Any = C.llama_model_default_params()
        self.struct = params
        self._kept: list[Any] = [progress]
        params.progress_callback = progress
        if spec.n_gpu_layers >= 0:
            params.n_gpu_layers = spec.n_gpu_layers
        self._choose_devices(spec)
        if spec.n_cpu_moe:
            overrides = experts_in_ram(spec.n_cpu_moe)
            params.tensor_buft_overrides = self._keep(overrides)
        params.load_mode = load_mode(spec)

    def _choose_devices(self, spec: LoadSpec) -> None:
        params = self.struct
        everything = [device for device in all_devices() if device.takes_layers]
        # Left to itself llama.cpp uses what shares the host's memory only where there is nothing better.
        there = [device for device in everything if device.kind == "gpu"] or everything
        if spec.devices:
            there = chosen_devices(spec.devices, everything)
            # The list ends with a null; with nothing before it nothing is offloaded.
            params.devices = self._keep((ctypes.c_void_p * (len(there) + 1))(*(device.handle for device in there)))
        if spec.main_gpu is not None:
            if there and spec.main_gpu >= len(there):
                names = ", ".join(device.name for device in there)
                raise CannotLoadSo(f"main_gpu is {spec.main_gpu}, but the devices, counted from 0, are {names}")
            params.main_gpu = spec.main_gpu
        if spec.split_mode:
            params.split_mode = SPLIT_MODES[spec.split_mode]
        elif spec.main_gpu is not None:
            params.split_mode = C.LLAMA_SPLIT_MODE_NONE
        if spec.tensor_split:
            # llama.cpp reads as many as there are devices; those that are not named get nothing.
            parts = (ctypes.c_float * C.llama_max_devices())(*spec.tensor_split)
            self._kept.append(parts)
            params.tensor_split = ctypes.cast(parts, ctypes.POINTER(ctypes.c_float))

    def _keep(self, array: Any) -> int:
        self._kept.append(array)
        return ctypes.addressof(array)


def chosen_devices(names: Sequence[str], there: Sequence[DeviceHandle]) -> list[DeviceHandle]:
    """Those of `there` with these names, in their order. `CPU` or `none` stands for no device beside the processor.

    Raises:
        CannotLoadSo: one of them is not there, or is named twice.
    """
    found: list[DeviceHandle] = []
    for name in names:
        if name.casefold() in PROCESSOR:
            continue
        device = next((one for one in there if one.name.casefold() == name.casefold()), None)
        if device is None:
            have = ", ".join([*(one.name for one in there), "CPU"])
            raise CannotLoadSo(f"there is no device {name} to load the model on; there are: {have}")
        if device in found:
            raise CannotLoadSo(f"the device {device.name} is named twice")
        found.append(device)
    return found


def experts_in_ram(n_layers: int) -> ctypes.Array[Override]:
    """The overrides that keep experts of the first `n_layers` layers in RAM, of all where it is negative. A null ends
    them. One pattern for all of them: llama.cpp compiles each anew for every tensor."""
    layers = range(n_layers)
    which = "" if n_layers < 0 or n_layers >= MAX_LAYERS else rf"blk\.({'|'.join(map(str, layers))})"
    return (Override * 2)(Override((which + EXPERTS).encode(), cpu_buffer_type()), Override(None, None))


def load_mode(spec: LoadSpec) -> int:
    """llama_load_mode. Locked weights are mapped as well, unless somebody does not want that."""
    match spec.use_mmap, spec.use_mlock:
        case None, False:
            return C.LLAMA_LOAD_MODE_AUTO
        case False, locked:
            return C.LLAMA_LOAD_MODE_MLOCK if locked else C.LLAMA_LOAD_MODE_NONE
        case _, locked:
            return C.LLAMA_LOAD_MODE_MMAP_MLOCK if locked else C.LLAMA_LOAD_MODE_MMAP


def init_numa(strategy: str) -> None:
    """Place threads by the nodes of the machine from now on; without effect where it has one node, or is no Linux."""
    C.llama_numa_init(NUMA[strategy])
