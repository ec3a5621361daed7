"""What loads have really taken, remembered from one program to the next.

After a load llama.cpp's buffers are known, and the system tells what the runner's process takes beside them. Both are
kept by what was loaded, in which shape, by which build on which devices: the next plan for the same goes by them.
The file is small and only a help: one that is damaged, or cannot be written, is done without.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import platformdirs
import psutil
from msgspec import Meta, Struct

from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Buffer, LoadSpec
from ollama_engine.scheduler.buffers import HOST, device_of
from ollama_engine.scheduler.split import Share, Split

log = logging.getLogger(__name__)

APP = "ollama-tui"
FILE = "loads.json"
MOST = 500
"""Loads that are remembered; the one loaded longest ago is forgotten first."""
MOST_BYTES = 1 << 20
"""A larger file is none of ours."""
WITHOUT_WEIGHT = ("n_threads", "n_threads_batch", "numa", "use_mlock")
"""Fields of a LoadSpec that memory does not depend on."""
MAPPED = "_Mapped"
LIBRARIES = 20 << 20
"""Bytes of code that a runner has mapped."""
LEAST_PROCESS, MOST_PROCESS = 16 << 20, 8 << 30
"""Bytes: what a process takes beside its buffers is measured as a difference, and may be nonsense beyond these."""


Size = Annotated[int, Meta(ge=0, le=1 << 50)]


class OnDevice(Struct, frozen=True, array_like=True):
    """Bytes of the buffers on one device."""

    weights: Size = 0
    cache: Size = 0
    compute: Size = 0


class Measured(Struct, frozen=True):
    """What a load took. `process`: bytes of the runner beside its buffers; 0 where nobody knows."""

    devices: dict[str, OnDevice]
    process: Size = 0

    def apply(self, split: Split) -> Split | None:
        """The same split with these bytes; None where it is another one."""
        if {HOST, *split.gpus} != {HOST, *self.devices}:
            return None
        cpu = self._share(HOST, split.cpu)
        process = self.process or split.process
        other = split.cpu.other - split.process + process
        gpus = {name: self._share(name, share) for name, share in split.gpus.items()}
        cpu = Share(cpu.layers, cpu.weights, cpu.cache, cpu.compute, other)
        return Split(cpu, gpus, split.cpu_moe, split.fits, process)

    def _share(self, device: str, share: Share) -> Share:
        found = self.devices.get(device, OnDevice())
        return Share(share.layers, found.weights, found.cache, found.compute, share.other)


class _File(Struct):
    """`loads` in the order in which they were last loaded. `format` counts up when the rest changes its meaning."""

    format: int
    loads: dict[str, Measured]


FORMAT = 1
_decode = msgspec.json.Decoder(_File).decode


class Calibration:
    """What is remembered. Belongs to one event loop; `load` it first, in a thread."""

    def __init__(self, path: Path | None = None, *, build: str | None = None) -> None:
        self._path = path or Path(platformdirs.user_state_dir(APP)) / FILE
        self._build = _build() if build is None else build
        self._loads: dict[str, Measured] = {}
        self._writing = asyncio.Lock()

    def load(self) -> None:
        """Read the file. Blocks."""
        self._loads = self._read()

    def recall(self, spec: LoadSpec, gpus: Sequence[str]) -> Measured | None:
        """What such a load has taken, on a machine with these GPUs; None where nobody knows."""
        return self._loads.get(self._key(spec, gpus))

    async def learn(self, spec: LoadSpec, gpus: Sequence[str], measured: Measured) -> None:
        """Remember what a load has taken."""
        key = self._key(spec, gpus)
        known = self._loads.pop(key, None)
        self._loads[key] = measured
        if known != measured:
            async with self._writing:
                await asyncio.to_thread(self._write, key, measured)

    def _key(self, spec: LoadSpec, gpus: Sequence[str]) -> str:
        fields: dict[str, Any] = msgspec.to_builtins(spec)
        for name in WITHOUT_WEIGHT:
            fields.pop(name, None)
        # Blobs are named for what is in them, wherever they lie.
        fields["model_paths"] = [os.path.basename(path) for path in spec.model_paths]
        fields["projector_paths"] = [os.path.basename(path) for path in spec.projector_paths]
        fields["adapters"] = [os.path.basename(adapter.path) for adapter in spec.adapters]
        text = msgspec.json.encode([self._build, list(gpus), fields], order="deterministic")
        return hashlib.sha256(text).hexdigest()

    def _read(self) -> dict[str, Measured]:
        """{} where there is none, or one of another format; a broken one is told of, and none."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise ValueError(f"it has more than {MOST_BYTES} bytes")
            found = _decode(data)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
            log.warning("what loads have taken before is not known, %s cannot be read: %s", self._path, error)
            return {}
        return found.loads if found.format == FORMAT else {}

    def _write(self, key: str, measured: Measured) -> None:
        """With what others have written meanwhile."""
        loads = self._read()
        loads.pop(key, None)
        loads[key] = measured
        kept = dict(list(loads.items())[-MOST:])
        partial = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(_File(FORMAT, kept)))
            partial.replace(self._path)
        except OSError as error:
            log.warning("what a load has taken cannot be remembered: %s", error)
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def _build() -> str:
    """The build of llama.cpp whose buffers these are."""
    try:
        return version("llama_cpp_python")
    except PackageNotFoundError:
        return ""


def calibrated(
    start: Callable[..., Awaitable[Runner]], calibration: Calibration, gpus: Callable[[], Awaitable[Sequence[str]]]
) -> Callable[..., Awaitable[Runner]]:
    """`start` (as Runner.start) that remembers what each load takes. `gpus`: the machine's, by name."""

    async def starting(spec: LoadSpec, **arguments: Any) -> Runner:
        runner = await start(spec, **arguments)
        try:
            await calibration.learn(spec, await gpus(), await asyncio.to_thread(measure, runner))
        except BaseException:
            await asyncio.shield(runner.aclose())  # nobody else knows of it yet
            raise
        return runner

    return starting


def measure(runner: Runner) -> Measured:
    """What a runner that has just loaded takes. Blocks for a moment."""
    devices: dict[str, OnDevice] = {}
    for buffer in runner.info.buffers:
        device = device_of(buffer.device)
        devices[device] = _with(devices.get(device, OnDevice()), buffer)
    return Measured(devices, _process_bytes(runner))


def _with(found: OnDevice, buffer: Buffer) -> OnDevice:
    match buffer.kind:
        case "model":
            return OnDevice(found.weights + buffer.size, found.cache, found.compute)
        case "KV" | "RS":
            return OnDevice(found.weights, found.cache + buffer.size, found.compute)
        case "output":  # grows with what is asked for: the estimate knows the most
            return found
        case _:
            return OnDevice(found.weights, found.cache, found.compute + buffer.size)


def _process_bytes(runner: Runner) -> int:
    """What the process holds for itself alone, less the buffers in that. Those to compute in are not touched yet."""
    try:
        memory = psutil.Process(runner.pid).memory_info()
    except psutil.Error:
        return 0
    shared = getattr(memory, "shared", None)
    if shared is None:  # only Linux tells
        return 0
    own = sum(
        buffer.size
        for buffer in runner.info.buffers
        if device_of(buffer.device) == HOST and buffer.kind in ("model", "KV", "RS") and MAPPED not in buffer.device
    )
    found = memory.rss - shared - own + LIBRARIES
    return found if LEAST_PROCESS <= found <= MOST_PROCESS else 0
