"""Is the program whole, and the llama.cpp underneath built for this machine?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ollama_engine.build_info import BINDING, REBUILD
from ollama_engine.runner.protocol import GgmlDevice, LlamaBuild
from ollama_tui.cli.doctor.finding import Finding, note, ok, wrong
from ollama_tui.format import size

DISTRIBUTION = "ollama-tui"
_FAST = {"avx": "AVX", "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "avx512f": "AVX512"}
"""What /proc/cpuinfo calls the features that make the difference, and what llama.cpp calls them."""
_DRIVERS = (
    ("an NVIDIA GPU", "-DGGML_CUDA=on", "/proc/driver/nvidia/version"),
    ("an AMD GPU with ROCm", "-DGGML_HIP=on", "/dev/kfd"),
)
"""Whose driver, what llama.cpp is built with for it, and where one sees that it is there."""
_NO_GPU = {"CPU", "BLAS", "RPC"}
"""Backends that compute on no GPU of this machine."""


def check_python(current: tuple[int, int] = sys.version_info[:2]) -> Finding:
    words = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    if current < (3, 11):
        return wrong("python", f"{words}: 3.11 or newer is needed", "Install a newer Python, and this program with it.")
    return ok("python", words)


def check_packages(needed: Sequence[str] | None = None, installed: Callable[[str], str] = version) -> Finding:
    """Every library that this program names is there, and those pinned exactly in that version."""
    try:
        lines = requires(DISTRIBUTION) or [] if needed is None else needed
    except PackageNotFoundError:
        return note("packages", "run from a source tree, without the list of what is needed")
    lines = [line for line in lines if "extra" not in line.partition(";")[2]]
    missing: list[str] = []
    for line in lines:
        requirement = line.partition(";")[0]
        name = re.split(r"[\s<>=!~\[(]", requirement.strip(), maxsplit=1)[0]
        try:
            found = installed(name)
        except PackageNotFoundError:
            missing.append(f"{name} is missing")
            continue
        pinned = re.search(r"==\s*([^,\s]+)", requirement)
        if pinned and found != pinned[1]:
            missing.append(f"{name} is {found}, not {pinned[1]}")
    if missing:
        return wrong("packages", ", ".join(missing), f"pip install --force-reinstall {DISTRIBUTION}")
    return ok("packages", f"{DISTRIBUTION} {_own_version()}, {len(lines)} requirements met")


def _own_version() -> str:
    from ollama_engine import __version__

    return __version__


def check_llama(build: LlamaBuild, binding: str) -> Finding:
    backends = ", ".join(build.backends) or "none"
    words = f"llama.cpp of {BINDING} {binding} (ggml {build.ggml}, {build.commit}), backends: {backends}"
    if not build.backends:
        return wrong("build", f"{words}: it can compute on nothing", REBUILD)
    return ok("build", words)


def check_cpu(build: LlamaBuild, flags: Collection[str]) -> Finding:
    """`flags` are those of /proc/cpuinfo; empty where the system does not tell."""
    words = f"compiled with {', '.join(build.features) or 'no extensions'}"
    slower = [theirs for ours, theirs in _FAST.items() if ours in flags and theirs not in build.features]
    if slower:
        return wrong(
            "cpu",
            f"{words}; this processor also has {', '.join(slower)}, which would be faster",
            f"CMAKE_ARGS=-DGGML_NATIVE=on {REBUILD}",
        )
    return ok("cpu", words)


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    try:
        found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", path.read_text(), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()


def check_gpu_backend(build: LlamaBuild, present: Callable[[str], bool] = os.path.exists) -> Finding | None:
    """A GPU that this build cannot use; nothing where there is none, or it can."""
    if not set(build.backends) <= _NO_GPU:
        return None
    for whose, flag, sign in _DRIVERS:
        if present(sign):
            return wrong("gpu", f"there is {whose}, and llama.cpp is built without it", f"CMAKE_ARGS={flag} {REBUILD}")
    return None


def check_devices(devices: Sequence[GgmlDevice]) -> list[Finding]:
    return [ok("device", f"{device.name}: {device.description or device.kind}{_memory(device)}") for device in devices]


def _memory(device: GgmlDevice) -> str:
    return f", {size(device.free)} of {size(device.total)} free" if device.total else ""


def check_tools(find: Callable[[str], str | None] = shutil.which) -> Finding | None:
    """The command is on PATH under its own name; what completion and other programs call."""
    if find("ollama-tui") is not None:
        return None
    folder = Path(sys.executable).parent
    return note("path", "ollama-tui is not on PATH", f'export PATH="{folder}:$PATH"')
