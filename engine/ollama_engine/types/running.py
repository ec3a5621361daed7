"""What is in memory, and what there is to compute on."""

from __future__ import annotations

from msgspec import Struct, field

from ollama_engine.types.models import ModelDetails


class DeviceShare(Struct, omit_defaults=True, kw_only=True):
    """What a loaded model holds of one device, bytes."""

    name: str
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    measured: int = 0
    """All that the process holds there by the device's driver, its own structures included; 0 where it does not tell
    (NVIDIA's does)."""


class RunningModel(Struct, omit_defaults=True):
    """A line of `ps`. Fields after `context_length` are ours."""

    name: str
    model: str
    size: int
    digest: str
    details: ModelDetails
    expires_at: str
    size_vram: int
    context_length: int
    state: str = ""
    """`loading`, `busy`, `idle` or `stopping`; empty where the server does not say (Ollama's own)."""
    load_progress: float = 0.0
    """0 to 1 while loading."""
    pid: int = 0
    rss: int = 0
    """Resident memory of the runner process, bytes, measured."""
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    """Buffers as llama.cpp reported them after the load, bytes, host and device together."""
    context_used: int = 0
    """KV cells in use, of `context_total`."""
    slots: int = 0
    slots_busy: int = 0
    queued: int = 0
    tokens_per_second: float = 0.0
    """Generation speed over the last seconds, all slots together; 0 when idle."""
    prompt_tokens_per_second: float = 0.0
    """Prompt reading speed over the last seconds; 0 when nothing is read."""
    pss: int = 0
    """The runner's proportional share of resident memory, bytes: pages of a file that two runners map count half."""
    pinned: bool = False
    """Never unloaded to make room for another."""
    devices: list[DeviceShare] = field(default_factory=list)
    """Its buffers by device, as llama.cpp allocated them."""
    notices: list[str] = field(default_factory=list)
    """What is otherwise than asked for: a smaller context, fewer layers on the GPU."""
    context_total: int = 0
    """KV cells there are: `context_length` x `slots`, or a batch of a model that embeds; 0 where unknown."""
    keep_alive: float | None = None
    """Seconds that it stays after its last request, negative for ever; None where the server does not say."""
    expires_in: float | None = None
    """Seconds until it is unloaded if nobody asks for it before, negative for never: as `expires_at`, on no clock."""


class Device(Struct, omit_defaults=True):
    """Something to compute on (ours). Memory in bytes; what nobody tells is 0, or None."""

    name: str
    """As ggml calls it: `CPU`, `CUDA0`, `Metal`, `Vulkan1` …"""
    description: str = field(default_factory=str)
    kind: str = field(default_factory=str)
    """`cpu`, `gpu`, `igpu` (shares the host's memory), `accel` (works with the CPU)."""
    total: int = 0
    free: int = 0
    id: str = ""
    """PCI address, as `0000:c1:00.0`."""
    utilization: float | None = None
    """Percent of the time since the last reading."""
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""
