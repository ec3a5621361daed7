"""What HTTP costs a chunk: streams through each dialect beside the bare runner, and beside an engine that does nothing.

    python -m tests.bench.http_chunks [--streams 1 8 64] [--seconds 4] [--turns 3] [--profile FILE]

Every stream is of a model that never ends. `runner`: pieces out of `Runner.generate`, no server. `chat`, `openai`,
`anthropic`: chunks that a client reads off a socket, from a server in a process of its own (on 2 cores the runner, the
server and the client share them). `idle …`: the same with an engine that only says the next piece: what the server
itself can do. Prints chunks a second and the server's processor time a chunk, then JSON; `--profile` writes the
function calls of the server (pstats) beside its figures; `--idle-profile` those of an idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ollama_engine.local import LocalEngine
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Generate, LoadSpec, Sampling
from ollama_engine.server.loop import new_event_loop
from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings
from ollama_engine.types import ChatChunk, ChatRequest, CreateRequest
from tests.bench.engine_overhead import put
from tests.support.gguf_models import looping_model
from tests.support.scripted_engine import ScriptedEngine, said

MODEL = "loop"
N_CTX = 256
ENDLESS = 1_000_000
MESSAGES = [{"role": "user", "content": "Go on."}]
DIALECTS: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "chat": ("/api/chat", {"options": {"num_predict": ENDLESS}}, b'"done":'),
    "openai": ("/v1/chat/completions", {"stream": True, "max_tokens": ENDLESS}, b"data: "),
    "anthropic": ("/v1/messages", {"stream": True, "max_tokens": ENDLESS}, b"data: "),
}
"""Path, further fields of the request, and what every chunk has once."""


@dataclass(frozen=True)
class Figure:
    chunks_per_second: float
    server_us: float = 0.0
    """Processor time of the server, microseconds a chunk."""


class IdleEngine(ScriptedEngine):
    """Says the next piece whenever it is asked, and lets the others have their turn first."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        for _ in range(ENDLESS):
            await asyncio.sleep(0)
            yield said("and so on ")


async def runner_figure(path: Path, streams: int, seconds: float) -> Figure:
    runner = await Runner.start(LoadSpec([str(path)], N_CTX, n_seq=streams))
    try:
        tokens = await runner.tokenize("Go on.")
        count = 0

        async def consume(seed: int) -> None:
            nonlocal count
            frame = Generate(0, tokens, max_tokens=ENDLESS, sampling=Sampling(seed=seed), shift=True)
            async for _ in runner.generate(frame):
                count += 1

        async with _running([consume(seed) for seed in range(streams)]):
            await asyncio.sleep(0.5)
            began, before = time.perf_counter(), count
            await asyncio.sleep(seconds)
            return Figure((count - before) / (time.perf_counter() - began))
    finally:
        await runner.aclose()


async def server_figure(url: str, process: psutil.Process, dialect: str, streams: int, seconds: float) -> Figure:
    path, fields, end = DIALECTS[dialect]
    body = json.dumps({"model": MODEL, "messages": MESSAGES, **fields}).encode()
    host, _, port = url.removeprefix("http://").rpartition(":")
    count = 0

    async def consume() -> None:
        while True:  # an answer ends after ten contexts, whatever is asked for
            await stream()

    async def stream() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            status = await reader.readuntil(b"\r\n\r\n")
            assert status.startswith(b"HTTP/1.1 200"), status
            while data := await reader.read(1 << 18):
                count += data.count(end)
        finally:
            writer.close()

    async with _running([consume() for _ in range(streams)]):
        await asyncio.sleep(1.0)
        began, before, cpu = time.perf_counter(), count, sum(process.cpu_times()[:2])
        await asyncio.sleep(seconds)
        passed = time.perf_counter() - began
        used = sum(process.cpu_times()[:2]) - cpu
    return Figure((count - before) / passed, 1e6 * used / max(1, count - before))


@contextlib.asynccontextmanager
async def _running(work: list[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def served(*arguments: str) -> AsyncIterator[tuple[str, psutil.Process]]:
    """A server in a process of its own: its URL and the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.http_chunks", "--serve", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


async def serve_one(store: str, profile: str) -> int:
    """The server: with a store a real engine, else the idle one."""
    settings = Settings(host=HostAddress(port=0), num_parallel=64, context_length=N_CTX)
    if store:
        settings = Settings(host=HostAddress(port=0), models=Path(store), num_parallel=64, context_length=N_CTX)

    def announce(address: HostAddress) -> None:
        print(address.url, flush=True)

    engine = LocalEngine(settings) if store else IdleEngine()
    if not store:
        engine.names = [f"{MODEL}:latest"]
    calls = cProfile.Profile()
    async with engine:
        if profile:
            calls.enable()
        try:
            return await serve(settings, engine, on_ready=announce, drain_seconds=0.1)
        finally:
            if profile:
                calls.disable()
                calls.dump_stats(profile)


async def measure(
    streams: list[int], seconds: float, turns: int, profile: str, idle_profile: str
) -> dict[str, dict[int, list[Figure]]]:
    figures: dict[str, dict[int, list[Figure]]] = {}

    def note(name: str, number: int, figure: Figure) -> None:
        figures.setdefault(name, {}).setdefault(number, []).append(figure)

    with tempfile.TemporaryDirectory() as folder:
        path = looping_model(Path(folder) / "loop.gguf")
        store = Path(folder) / "models"
        async with LocalEngine(Settings(models=store)) as engine:
            files = {path.name: await put(engine, path)}
            async for _ in engine.create(CreateRequest(MODEL, files=files)):
                pass
        async with served("--store", str(store)) as (url, process), served() as (idle_url, idle_process):
            for _ in range(turns):
                for number in streams:
                    note("runner", number, await runner_figure(path, number, seconds))
                    for dialect in DIALECTS:
                        note(dialect, number, await server_figure(url, process, dialect, number, seconds))
                        idle = await server_figure(idle_url, idle_process, dialect, number, seconds)
                        note(f"idle {dialect}", number, idle)
        for file, store_of_it in ((profile, ["--store", str(store)]), (idle_profile, [])):
            if file:
                async with served("--profile", file, *store_of_it) as (url, process):
                    await server_figure(url, process, "openai", max(streams), seconds)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--profile", default="")
    parser.add_argument("--idle-profile", default="")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--store", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            sys.exit(runner.run(serve_one(arguments.store, arguments.profile)))
    figures = asyncio.run(
        measure(arguments.streams, arguments.seconds, arguments.turns, arguments.profile, arguments.idle_profile)
    )
    print(f"{'':16}" + "".join(f"{number:>8} streams{'':12}" for number in arguments.streams))
    for name, by_number in figures.items():
        cells = ""
        for number in arguments.streams:
            speed = statistics.median(figure.chunks_per_second for figure in by_number[number])
            cost = statistics.median(figure.server_us for figure in by_number[number])
            cells += f"{speed:10.0f}/s" + (f" {cost:8.1f} us   " if cost else f"{'':15}")
        print(f"{name:16}{cells}")
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    told = {
        name: {number: [vars(figure) for figure in values] for number, values in by_number.items()}
        for name, by_number in figures.items()
    }
    print(json.dumps({"machine": machine, "figures": told}))


if __name__ == "__main__":
    main()
