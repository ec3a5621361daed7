"""Looking for devices in a process of its own (runner/devices.py), whatever its drivers do: crash, hang, talk nonsense.

It may leave a child behind that holds its output, or hang so that no signal ends it: nobody waits for either.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence

import msgspec

from ollama_engine.errors import RunnerError
from ollama_engine.runner.protocol import GgmlDevice

PROBE = (sys.executable, "-P", "-m", "ollama_engine.runner.devices")
PROBE_TIMEOUT = 30.0
"""Seconds. A CUDA driver that wakes up several cards takes five or more."""
MAX_ANSWER = 1 << 20
LAST_ERRORS = 16 * 1024
"""Bytes of what it says that are taken, and of its errors that are kept."""
GRACE = 1.0
"""Seconds to wait for what cannot take long: the rest of its words, its end after it was killed."""
_decode = msgspec.json.Decoder(list[GgmlDevice]).decode


async def probe(command: Sequence[str] = PROBE, timeout: float = PROBE_TIMEOUT) -> list[GgmlDevice]:
    """ggml's devices, each with the memory that is free now.

    Raises:
        RunnerError: the process crashed, hung, or said something else; the drivers are the likely cause.
    """
    try:
        async with asyncio.timeout(timeout):
            code, output, errors = await _run(command)
    except TimeoutError:
        raise RunnerError(
            f"looking for devices did not end within {timeout:.0f} s", hint="Look whether the GPU's driver hangs."
        ) from None
    except OSError as error:
        raise RunnerError(
            f"cannot start a process that looks for devices: {error}",
            hint="Close other programs or raise their limits.",
        ) from error
    if code:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        why = f": {said[-1]}" if said else ""
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        raise RunnerError(
            f"looking for devices ended {how}{why}",
            hint="Look whether the GPU's driver fits what llama.cpp is built for.",
        )
    try:
        return _decode(output)
    except msgspec.MsgspecError as error:
        raise RunnerError(f"looking for devices gave no list of them: {error}") from error


async def _run(command: Sequence[str]) -> tuple[int, bytes, bytes]:
    """Exit code, output, and the last of its errors."""
    async with contextlib.AsyncExitStack() as stack:
        # Sockets of our own, not asyncio's pipes: a process whose pipes somebody still holds never ends for asyncio.
        (out, their_out), (err, their_err) = socket.socketpair(), socket.socketpair()
        with their_out, their_err:
            said = await stack.enter_async_context(_stream(out))
            complained = await stack.enter_async_context(_stream(err))
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=their_out.fileno(),
                stderr=their_err.fileno(),
                start_new_session=True,
            )
        stack.push_async_callback(_end, process)
        output, errors = bytearray(), bytearray()
        listening = asyncio.create_task(_listen(said, output))
        tasks = (listening, asyncio.create_task(_keep_last(complained, errors)), asyncio.create_task(process.wait()))
        for task in tasks:
            stack.callback(task.cancel)
        await asyncio.wait((listening, tasks[-1]), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()  # it may have said too much
        code = await process.wait()
        await asyncio.wait(tasks, timeout=GRACE)
        if listening.done():
            listening.result()
        return code, bytes(output), bytes(errors)


@contextlib.asynccontextmanager
async def _stream(ours: socket.socket):
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield reader
    finally:
        writer.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()


async def _listen(stream: asyncio.StreamReader, output: bytearray) -> None:
    while chunk := await stream.read(1 << 16):
        output += chunk
        if len(output) > MAX_ANSWER:
            raise RunnerError(f"looking for devices gave no list of them: it says more than {MAX_ANSWER} bytes")


async def _keep_last(stream: asyncio.StreamReader, output: bytearray) -> None:
    while chunk := await stream.read(1 << 16):
        output += chunk
        del output[:-LAST_ERRORS]
