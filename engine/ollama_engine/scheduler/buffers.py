"""In whose memory a buffer of ggml's lies."""

from __future__ import annotations

HOST = "CPU"
"""ggml's name of the processor, whose memory is the host's."""


def device_of(buffer: str) -> str:
    """The device whose memory a kind of buffer of ggml's lies in: `CUDA0` of `CUDA0`, `MTL0` of `MTL0_Mapped`,
    the host of `CPU_Mapped`, `CPU_REPACK`, `AMX` and `CUDA_Host` (which a device can reach quickly)."""
    name, _, kind = buffer.partition("[")[0].partition("_")  # in brackets stands the address of another machine
    return HOST if name in (HOST, "AMX") or kind == "Host" else name
