"""What the llama.cpp underneath is and is built for, asked of a process of its own. `doctor` shows it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import msgspec

from ollama_engine.errors import RunnerError
from ollama_engine.runner.protocol import LlamaBuild

PROBE = (sys.executable, "-P", "-m", "ollama_engine.runner.build")
PROBE_TIMEOUT = 30.0
"""Seconds. Drivers that wake up take their time."""
BINDING = "llama-cpp-python"
REBUILD = f"pip install --force-reinstall --no-cache-dir --no-deps --no-binary {BINDING} {BINDING}"


async def read_build(command: Sequence[str] = PROBE, timeout: float = PROBE_TIMEOUT) -> LlamaBuild:
    """Ask it. RunnerError: it cannot be loaded, crashed or hung; the hint is the line that builds it anew."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            output, errors = await process.communicate()
    except TimeoutError:
        raise RunnerError(
            f"loading llama.cpp did not end within {timeout:.0f} s", hint="Look whether a GPU's driver hangs."
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == -signal.SIGILL:
        raise RunnerError(
            "llama.cpp is built for another processor: it dies of an instruction that this one has not", hint=REBUILD
        )
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        raise RunnerError(
            f"llama.cpp cannot be loaded: {said[-1] if said else f'status {process.returncode}'}", hint=REBUILD
        )
    try:
        return msgspec.json.decode(output, type=LlamaBuild)
    except msgspec.MsgspecError as error:
        raise RunnerError(f"llama.cpp does not say what it is: {error}", hint=REBUILD) from error


def binding_version() -> str:
    """The version of llama-cpp-python that is installed; empty where none is."""
    try:
        return version(BINDING)
    except PackageNotFoundError:
        return ""
