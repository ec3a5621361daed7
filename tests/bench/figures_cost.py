"""What live figures cost: processor time of the server and of the runner, with somebody who looks and with nobody.

    python -m tests.bench.figures_cost [--shape 135m] [--seconds 20] [--rounds 3] [--watchers 1]

A watcher asks for the models, the devices and the requests, as the PS pane does, every second or every two; so do
several of them. First with the model idle, then with one answer that never ends. Turns alternate; what is printed are
medians of the rounds, as percent of a core, and what the watchers add to the server and the runner together. While an
answer streams the runner takes all the cores there are: what looking costs it shows in the tokens a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psutil

from tests.bench.peers import OurServer, machine
from tests.bench.shapes import bench_model

INTERVALS = (0.0, 2.0, 1.0)
"""Seconds between two looks; 0: nobody looks."""
PATHS = ("/api/ps?loading=true", "/api/devices", "/api/requests")


@dataclass(frozen=True)
class Turn:
    """Percent of a core, and tokens a second."""

    server: float
    runner: float
    tokens: float


class Stream:
    """One answer after the other, for as long as the block lasts; `tokens` counts pieces."""

    def __init__(self) -> None:
        self.tokens = 0

    @contextlib.asynccontextmanager
    async def running(self, server: OurServer) -> AsyncIterator[None]:
        task = asyncio.create_task(self._read(server))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _read(self, server: OurServer) -> None:
        for seed in itertools.count(1):
            before = self.tokens
            async with contextlib.aclosing(server.stream(f"Tell me number {seed}.", 3000, seed=seed)) as parts:
                async for part in parts:
                    self.tokens = before + len(part.at)


@contextlib.asynccontextmanager
async def watched(server: OurServer, interval: float, watchers: int) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            began = time.monotonic()
            for path in PATHS:
                (await server.client.get(path)).raise_for_status()
            await asyncio.sleep(max(0.0, began + interval - time.monotonic()))

    tasks = [asyncio.create_task(watch()) for _ in range(watchers if interval else 0)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def turn(server: OurServer, stream: Stream, interval: float, watchers: int, seconds: float) -> Turn:
    async with watched(server, interval, watchers):
        await asyncio.sleep(1.0)
        processes = psutil.Process(server.process.pid), psutil.Process(server.runner_pid)
        before, tokens, began = [_busy(process) for process in processes], stream.tokens, time.perf_counter()
        await asyncio.sleep(seconds)
        passed = time.perf_counter() - began
        spent = [_busy(process) - was for process, was in zip(processes, before, strict=True)]
    return Turn(100 * spent[0] / passed, 100 * spent[1] / passed, (stream.tokens - tokens) / passed)


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def measure(server: OurServer, arguments: argparse.Namespace, *, busy: bool) -> dict[float, list[Turn]]:
    turns: dict[float, list[Turn]] = {interval: [] for interval in INTERVALS}
    stream = Stream()
    async with contextlib.AsyncExitStack() as stack:
        if busy:
            await stack.enter_async_context(stream.running(server))
            await asyncio.sleep(2.0)
        for _ in range(arguments.rounds):
            for interval in INTERVALS:
                turns[interval].append(await turn(server, stream, interval, arguments.watchers, arguments.seconds))
    return turns


def show(name: str, turns: dict[float, list[Turn]]) -> None:
    nobody = turns[0.0]
    for interval, these in turns.items():
        server, runner, tokens = (
            statistics.median(getattr(one, field) for one in these) for field in ("server", "runner", "tokens")
        )
        added = statistics.median(
            one.server - other.server + (0 if other.tokens else one.runner - other.runner)
            for one, other in zip(these, nobody, strict=True)
        )
        who = f"every {interval:.0f} s" if interval else "nobody looks"
        more = f"{added:+8.2f} %" if interval else ""
        print(f"{name:6} {who:14} {server:8.2f} % {runner:8.2f} % {tokens:8.1f} tok/s {more}")


async def run(arguments: argparse.Namespace) -> None:
    async with OurServer.running(bench_model(arguments.shape)) as server:
        for path in PATHS:
            (await server.client.get(path)).raise_for_status()
        print(f"{'':21} {'server':>10} {'runner':>10} {'':14} added")
        results = {}
        for name, busy in (("idle", False), ("busy", True)):
            results[name] = await measure(server, arguments, busy=busy)
            show(name, results[name])
    told = {
        name: {str(interval): [vars(one) for one in these] for interval, these in turns.items()}
        for name, turns in results.items()
    }
    print(json.dumps({"machine": machine(), **vars(arguments), "turns": told}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="135m")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--watchers", type=int, default=1)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
