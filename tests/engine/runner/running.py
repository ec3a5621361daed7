"""Short forms for tests that run a real runner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Done, Generate, LoadSpec, Piece, Sampling

BARD = Path(__file__).parents[3] / "engine/ollama_engine/data/bard-q8_0.gguf"
GREEDY = Sampling(temperature=0)


@dataclass(frozen=True)
class Answer:
    pieces: list[Piece]
    done: Done

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@contextlib.asynccontextmanager
async def running(path: Path, *, n_ctx: int = 512, **spec: Any) -> AsyncIterator[Runner]:
    """A runner for the block; one thread, because the models are tiny."""
    runner = await Runner.start(LoadSpec([str(path)], n_ctx, **{"n_threads": 1, **spec}))
    try:
        yield runner
    finally:
        await runner.aclose()


async def answer(runner: Runner, prompt: str | list[int] = "hi", **request: Any) -> Answer:
    """All of one answer, greedy unless `sampling` says otherwise."""
    tokens = await runner.tokenize(prompt) if isinstance(prompt, str) else prompt
    request.setdefault("sampling", GREEDY)
    parts = [part async for part in runner.generate(Generate(0, tokens, **request))]
    done = parts.pop()
    assert isinstance(done, Done)
    return Answer([part for part in parts if isinstance(part, Piece)], done)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait until `condition()` is true, or `await condition()` where it is a coroutine function."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.005)


def runner_processes() -> list[psutil.Process]:
    """Children of this process that run a model; other tests may have children of other kinds."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            dead = child.status() == psutil.STATUS_ZOMBIE and child.name().startswith("python")
            if dead or "ollama_engine.runner" in child.cmdline():
                found.append(child)
    return found
