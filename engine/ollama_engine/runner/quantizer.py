"""The parent's side of a quantization: start the process, pass its reports on, and be sure that it is gone at the end.

    async with contextlib.aclosing(quantize(spec)) as reports:
        async for report in reports: ...

Closing the generator kills the process; what it has written at `spec.target` by then is the caller's to remove.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Any

from ollama_engine.errors import RunnerDied, RunnerError
from ollama_engine.runner.quantize_protocol import (
    QuantizeBegun,
    QuantizeDone,
    QuantizeFailed,
    QuantizePlanned,
    QuantizeSpec,
    decode_quantize_report,
    encode_spec,
)

LAST_WORDS = 2000
"""Characters of the process's stderr that an error repeats."""


async def quantize(spec: QuantizeSpec) -> AsyncGenerator[QuantizePlanned | QuantizeBegun, None]:
    """What the result will take, then each tensor as its turn comes; the end of it means that the file is whole.

    Raises:
        RunnerError: llama.cpp refused, with its reason.
        RunnerDied: the process ended in the middle of it.
    """
    process = await _start()
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    stderr = asyncio.create_task(process.stderr.read(), name="quantizer-stderr")
    try:
        with contextlib.suppress(ConnectionError):  # it is gone already: the end of its reports says so
            process.stdin.write(encode_spec(spec))
            await process.stdin.drain()
        while line := await process.stdout.readline():
            match _decoded(line):
                case QuantizeDone():
                    return
                case QuantizeFailed(message=message):
                    raise RunnerError(f"the model could not be quantized: {message}")
                case report:
                    yield report
        code = await process.wait()
        words = (await stderr).decode("utf-8", "replace").strip()[-LAST_WORDS:]
        raise RunnerDied(
            f"quantizing ended unexpectedly ({_cause(code)}){': ' if words else ''}{words}",
            hint="llama.cpp may not be able to quantize this model to this type: try Q8_0, or another file.",
        )
    finally:
        await _end(process, stderr)


async def _start() -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # a `numpy.py` in the folder the user happens to be in is not ours to run
            "-m",
            "ollama_engine.runner.quantize",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise RunnerError(
            f"cannot start a process to quantize in: {error}", hint="Close other programs or raise their limits."
        ) from error


async def _end(process: asyncio.subprocess.Process, *readers: asyncio.Task[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    if process.stdin:
        process.stdin.close()
    await asyncio.gather(*readers, return_exceptions=True)


def _decoded(line: bytes) -> QuantizePlanned | QuantizeBegun | QuantizeDone | QuantizeFailed:
    try:
        return decode_quantize_report(line)
    except ValueError as error:
        raise RunnerError(f"the process that quantizes said something unknown: {error}") from error


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
