"""The engine through HTTP beside llama.cpp's own programs: decode, prefill, eight clients, prefix cache, gaps, memory.

    python -m tests.bench.inference --programs FOLDER [--shape 135m] [--pairs 5] [--only decode] [--json FILE]

FOLDER holds llama-bench and llama-server (tests/bench/build_peers.sh prints it). Each figure is taken from both sides
in turn, one pair after the other in one run; the ratio is the median of the pairs', above 1 where ours is better.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.server.loop import new_event_loop
from tests.bench.peers import LlamaServer, OurServer, Served, llama_bench, machine, resident, whole
from tests.bench.shapes import SHAPES, BenchModel, bench_model

WORDS = """
time year people way day man thing woman life child world school state family student group country problem hand
part place case week company system program question work government number night point home water room mother
area money story fact month lot right study book eye job word business issue side kind head house service friend
"""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """One row: values of each side, pair by pair, and whether more is better."""

    name: str
    unit: str
    reach: float
    ours: list[float]
    theirs: list[float]
    peer: str
    more_is_better: bool = True

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.ours, self.theirs, strict=True)
        return [a / b if self.more_is_better else b / a for a, b in pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


class Bench:
    def __init__(self, programs: Path, model: BenchModel, pairs: int) -> None:
        self._programs = programs
        self._model = model
        self._pairs = pairs
        self._random = random.Random(0)
        self._words = WORDS.split()

    def text(self, words: int) -> str:
        """Text that nobody has seen before, about a token a word."""
        return "".join(f" {word}" for word in self._random.choices(self._words, k=words))

    @contextlib.asynccontextmanager
    async def both(self, *, slots: int, context: int) -> AsyncIterator[tuple[OurServer, LlamaServer]]:
        async with (
            OurServer.running(self._model, slots=slots, context=context) as ours,
            LlamaServer.running(self._programs, self._model, slots=slots, context=context) as theirs,
        ):
            for server in (ours, theirs):
                await whole(server, self.text(20), 8)  # both have loaded and computed once
            yield ours, theirs

    async def in_turn(
        self, ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]
    ) -> tuple[list[float], list[float]]:
        """Both ways, pair by pair; who begins changes, so that neither always follows the other."""
        values: tuple[list[float], list[float]] = ([], [])
        for number in range(self._pairs):
            for side in (0, 1) if number % 2 == 0 else (1, 0):
                values[side].append(await (ours, theirs)[side]())
        return values

    async def decode(self) -> Figure:
        """One sequence; llama-bench samples nothing, and speaks to nobody."""
        async with OurServer.running(self._model) as server:
            await whole(server, self.text(20), 8)

            async def ours() -> float:
                return (await whole(server, self.text(1), 128, seed=self._random.randrange(10**6))).speed

            values = await self.in_turn(ours, lambda: llama_bench(self._programs, self._model, tokens=128))
        return Figure("decode, 1 sequence", "tok/s", 0.97, *values, "llama-bench tg128")

    async def prefill(self) -> Figure:
        """From the request to the first text, over the tokens of the prompt."""
        async with OurServer.running(self._model) as server:
            await whole(server, self.text(20), 8)

            async def ours() -> float:
                answer = await whole(server, self.text(2047), 1)
                return (answer.prompt_tokens - answer.cached_tokens) / answer.first

            values = await self.in_turn(ours, lambda: llama_bench(self._programs, self._model, prompt=2048))
        return Figure("prefill, 2k prompt", "tok/s", 0.97, *values, "llama-bench pp2048")

    async def clients(self) -> Figure:
        """Eight clients at once: tokens of all answers over the time until the last has ended."""
        async with self.both(slots=8, context=512) as servers:

            def side(server: Served) -> Callable[[], Awaitable[float]]:
                async def total() -> float:
                    asked = [whole(server, self.text(127), 128, seed=self._random.randrange(10**6)) for _ in range(8)]
                    answers = await asyncio.gather(*asked)
                    ended = max(answer.at[-1] for answer in answers)
                    return sum(a.tokens for a in answers) / (ended - min(a.asked for a in answers))

                return total

            values = await self.in_turn(*map(side, servers))
        return Figure("8 clients, 128 + 128 tokens", "tok/s", 1.10, *values, "llama-server -np 8")

    async def seen_before(self) -> Figure:
        """Time to the first text of a prompt of 2k tokens whose last line alone is new."""
        async with self.both(slots=4, context=4096) as servers:
            seen = self.text(2000)
            for server in servers:
                await whole(server, seen, 1)

            def side(server: Served) -> Callable[[], Awaitable[float]]:
                async def first() -> float:
                    return (await whole(server, f"{seen}\n{self.text(16)}", 4)).first * 1000

                return first

            values = await self.in_turn(*map(side, servers))
        return Figure("first token, 2k seen before", "ms", 1.00, *values, "llama-server", more_is_better=False)

    async def gap(self) -> Figure:
        """The longest silence of a running stream while a prompt of 4k tokens is read beside it."""
        async with self.both(slots=2, context=8192) as servers:

            def side(server: Served) -> Callable[[], Awaitable[float]]:
                async def longest() -> float:
                    return await _longest_gap(server, self.text(16), self.text(4000)) * 1000

                return longest

            values = await self.in_turn(*map(side, servers))
        return Figure("longest gap, 4k prompt beside", "ms", 1.00, *values, "llama-server", more_is_better=False)

    async def memory(self) -> Figure:
        """Resident memory beyond weights and KV cache, once a prompt was read and answered."""
        slots, context = 4, 4096
        fixed = self._model.path.stat().st_size + self._model.cell_bytes * slots * context
        async with self.both(slots=slots, context=context) as servers:
            for server in servers:
                await whole(server, self.text(1000), 32)
            ours, theirs = ((resident(server.runner_pid) - fixed) / MIB for server in servers)
        # Asked for is at most 1.2 times theirs: as a ratio of which more is better, 1 / 1.2.
        return Figure(
            "memory beyond weights and KV", "MiB", 1 / 1.2, [ours], [theirs], "llama-server", more_is_better=False
        )

    async def idle(self) -> Figure:
        """Engine and server without a model, against the 80 MB that they may take."""
        async with OurServer.running(None) as server:
            await server.client.get("/api/tags")
            ours = resident(server.process.pid) / 1_000_000
        return Figure("idle, no model", "MB", 1.0, [ours], [80.0], "80 MB", more_is_better=False)


async def _longest_gap(server: Served, short: str, long: str) -> float:
    """Seconds: the longest time between two pieces of a stream from the arrival of `long` to its first text."""
    running, arrived = asyncio.Event(), asyncio.Event()
    came: list[float] = []

    async def stream() -> None:
        async with contextlib.aclosing(server.stream(short, 4000)) as parts:
            async for answer in parts:
                came[:] = answer.at
                if len(came) == 8:
                    running.set()
                if arrived.is_set():
                    return

    streaming = asyncio.create_task(stream())
    await running.wait()
    answer = await whole(server, long, 1)
    arrived.set()
    await streaming
    times = [at for at in came if answer.asked <= at <= answer.at[0]]
    ends = [max(at for at in came if at < answer.asked), *times, min(at for at in came if at > answer.at[0])]
    return max(b - a for a, b in itertools.pairwise(ends))


ROWS = ("decode", "prefill", "clients", "seen_before", "gap", "memory", "idle")


async def run(arguments: argparse.Namespace) -> int:
    bench = Bench(arguments.programs, bench_model(arguments.shape), arguments.pairs)
    print(f"{'':30} {'ours':>9} {'theirs':>9}       {'ratio':>6} {'min':>6} {'max':>6} {'reach':>6}  against")
    figures: list[Figure] = []
    for row in ROWS:
        if arguments.only and row not in arguments.only:
            continue
        figure = await getattr(bench, row)()
        figures.append(figure)
        print(
            f"{figure.name:30} {statistics.median(figure.ours):9.1f} {statistics.median(figure.theirs):9.1f} "
            f"{figure.unit:5} {figure.ratio:6.2f} {min(figure.ratios):6.2f} {max(figure.ratios):6.2f} "
            f"{figure.reach:6.2f}  {figure.peer}",
            flush=True,
        )
    report = {"machine": machine(), "shape": arguments.shape, "pairs": arguments.pairs}
    rows = [
        {"figure": f.name, "unit": f.unit, "against": f.peer, "ours": f.ours, "theirs": f.theirs, "ratio": f.ratio,
         "reach": f.reach}
        for f in figures
    ]  # fmt: skip
    text = json.dumps({**report, "rows": rows})
    if arguments.json:
        arguments.json.write_text(text + "\n")
    else:
        print(text)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, required=True, help="folder of llama-bench and llama-server")
    parser.add_argument("--shape", choices=list(SHAPES), default="135m")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", action="append", choices=ROWS, help="this row (may be given several times)")
    parser.add_argument("--json", type=Path, help="where the figures go; else to stdout")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        sys.exit(runner.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
