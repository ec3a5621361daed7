"""What callers may say about how a model is loaded, and the fields of a LoadSpec that it ends up in.

Used by placement.py, which says what nobody said: context, slots, the split over devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import Options

FIELDS: Mapping[str, str] = {
    "num_batch": "n_batch",
    "num_ubatch": "n_ubatch",
    "num_gpu": "n_gpu_layers",
    "main_gpu": "main_gpu",
    "devices": "devices",
    "split_mode": "split_mode",
    "tensor_split": "tensor_split",
    "num_cpu_moe": "n_cpu_moe",
    "cache_type_k": "cache_type_k",
    "cache_type_v": "cache_type_v",
    "kv_offload": "kv_offload",
    "flash_attention": "flash_attention",
    "use_mmap": "use_mmap",
    "use_mlock": "use_mlock",
    "numa": "numa",
    "num_thread": "n_threads",
    "num_thread_batch": "n_threads_batch",
}
"""Option -> field of LoadSpec, of all options but the context, which placement.py decides on."""

UNQUANTIZED = ("", "f32", "f16", "bf16")
"""Types of the KV cache that attention needs no help for; empty is f16."""


def spec_fields(options: Options) -> dict[str, Any]:
    """The fields of a LoadSpec that the options decide, whether or not anybody said them.

    Raises:
        InvalidRequest: they contradict each other.
    """
    if options.flash_attention is False and options.cache_type_v not in UNQUANTIZED:
        raise InvalidRequest(
            f"the KV cache cannot have {options.cache_type_v} values while flash_attention is off",
            hint="Leave flash_attention to auto, or choose f16 for cache_type_v (kv_cache_type sets both).",
        )
    return {
        "n_ubatch": options.num_ubatch,
        "n_gpu_layers": options.num_gpu,
        "main_gpu": options.main_gpu,
        "devices": list(options.devices),
        "split_mode": options.split_mode,
        "tensor_split": list(options.tensor_split),
        "n_cpu_moe": options.num_cpu_moe or 0,
        "cache_type_k": options.cache_type_k,
        "cache_type_v": options.cache_type_v,
        "kv_offload": options.kv_offload is not False,
        "flash_attention": options.flash_attention,
        "use_mmap": options.use_mmap,
        "use_mlock": bool(options.use_mlock),
        "numa": options.numa,
        "n_threads": max(0, options.num_thread),
        "n_threads_batch": max(0, options.num_thread_batch),
    }


def left_to_us(given: frozenset[str]) -> frozenset[str]:
    """Fields of a LoadSpec that nobody asked for; `given` are the options that somebody did."""
    return frozenset(field for option, field in FIELDS.items() if option not in given)
