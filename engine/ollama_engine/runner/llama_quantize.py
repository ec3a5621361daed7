"""llama.cpp's quantization of a file."""

from __future__ import annotations

import ctypes

import numpy as np

from ollama_engine.runner.cores import usable_cores
from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.quantize_protocol import QuantizeSpec


def quantize_file(spec: QuantizeSpec, *, dry_run: bool) -> None:
    """Write `spec.source` quantized to `spec.target`, with all cores; LlamaError, the log has the reason.

    A dry run writes nothing and logs the size that the result would have.
    """
    params = C.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.dry_run = spec.file_type, spec.requantize, dry_run
    params.nthread = usable_cores()
    if spec.pins:
        # Both arrays end with an entry of nulls.
        pins = (C.llama_model_tensor_override * (len(spec.pins) + 1))()
        for number, (pattern, kind) in enumerate(spec.pins):
            pins[number].pattern, pins[number].type = pattern.encode(), kind
        params.tt_overrides = ctypes.cast(pins, ctypes.POINTER(C.llama_model_tensor_override))
    if spec.imatrix:
        values = {name: np.frombuffer(data, dtype=np.float32) for name, data in spec.imatrix.items()}
        entries = (C.llama_model_imatrix_data * (len(values) + 1))()
        for number, (name, floats) in enumerate(values.items()):
            entries[number].name, entries[number].size = name.encode(), floats.size
            entries[number].data = floats.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        params.imatrix = ctypes.cast(entries, ctypes.POINTER(C.llama_model_imatrix_data))
    C.llama_backend_init()
    if C.llama_model_quantize(spec.source.encode(), spec.target.encode(), ctypes.pointer(params)):
        raise LlamaError("llama.cpp did not quantize the file")
