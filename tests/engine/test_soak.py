"""An engine under a mix of everything: answers stay right, every request ends, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from ollama_engine.caller import Caller, current_caller
from ollama_engine.errors import LoadFailed, NotFound, RequestCanceled, RunnerDied
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import ChatChunk, ChatRequest, Message, TokenizeRequest
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import runner_processes, until
from tests.support.gguf_models import TINY, looping_model, random_model, scripted_model

MINUTE = 60
ROUND_ROBIN_SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
CLIENTS = 6
ROOM = 2
TEXTS = {"one": "The first of them says this.", "two": "And the second says that.", "three": "Ça dépend, 日本."}
LEAK = 60_000_000
"""Bytes that a process may grow by without leaking: its allocator keeps some."""


def ask(model: str, **fields: object) -> ChatRequest:
    return ChatRequest(model, [Message("user", "?")], **fields)  # pyright: ignore[reportArgumentType]


async def text_of(engine: LocalEngine, request: ChatRequest) -> tuple[str, ChatChunk]:
    chunks = [chunk async for chunk in engine.chat(request)]
    return "".join(chunk.message.content for chunk in chunks), chunks[-1]


@asynccontextmanager
async def engine_with(folder: Path, **settings: object) -> AsyncIterator[LocalEngine]:
    """`loop` never ends, `twin` has the weights of `one`, the others say their texts."""
    async with LocalEngine(Settings(models=folder / "models", **settings)) as engine:  # pyright: ignore[reportArgumentType]
        for name, text in TEXTS.items():
            await import_gguf(engine, name, scripted_model(folder / f"{name}.gguf", text))
        await engine.copy("one", "twin")
        await import_gguf(engine, "loop", looping_model(folder / "loop.gguf"))
        yield engine


@dataclass
class Client:
    """Somebody who does anything, again and again. Whoever kills or cancels ends requests of all of them."""

    engine: LocalEngine
    seed: int
    ends: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.moves = random.Random(self.seed)

    async def move(self) -> None:
        current_caller.set(Caller(f"client {self.seed}", local=self.seed == 0))
        try:
            await self._move()
        except (RunnerDied, RequestCanceled) as error:
            self.ends[type(error).__name__] += 1
        except LoadFailed as error:
            # Killed before it was there; or others have pinned all that there is room for just now.
            known = ("ended while it loaded", "beside what is pinned")
            if not any(why in str(error) for why in known):
                raise
            self.ends[next(why for why in known if why in str(error))] += 1

    async def _move(self) -> None:
        engine, moves = self.engine, self.moves
        model = moves.choice([*TEXTS, "twin", "loop"])
        keep_alive = moves.choice([0, 1, 300, -1])
        n_ctx = moves.choice([128, 256, 512])
        match moves.randrange(14):
            case 0:
                await engine.unload(model)
            case 1 if self.seed == 0:
                for process in runner_processes():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
            case 2 | 3:
                async with contextlib.aclosing(engine.chat(ask("loop", keep_alive=keep_alive))) as stream:
                    for _ in range(moves.randrange(1, 20)):
                        if (await anext(stream)).done:  # canceled
                            break
            case 4:
                if requests := await engine.requests():
                    with contextlib.suppress(NotFound):
                        await engine.cancel(moves.choice(requests).id)
            case 5:
                await engine.pin(model)
                await engine.pin(model, pinned=False)
            case 6:
                assert (await engine.tokenize(TokenizeRequest(model, "ab"))).tokens == [97, 98]
            case 7:
                names = [running.name for running in await engine.running()]
                assert len(names) <= ROOM
            case _ if model != "loop":
                await self._answer(model, ask(model, keep_alive=keep_alive, options={"num_ctx": n_ctx}))
            case _:
                _, last = await text_of(engine, ask("loop", options={"num_predict": 20, "num_ctx": n_ctx}))
                assert last.done_reason == "canceled" or last.eval_count == 20

    async def _answer(self, model: str, request: ChatRequest) -> None:
        text, last = await text_of(self.engine, request)
        whole = TEXTS["one" if model == "twin" else model]
        if last.done_reason == "canceled":
            assert whole.startswith(text)
            self.ends["canceled"] += 1
        else:
            assert (text, last.done_reason) == (whole, "stop")
            self.ends["whole"] += 1


async def leaves_nothing_behind(engine: LocalEngine) -> None:
    for model in [*TEXTS, "loop"]:
        await engine.unload(model)
    assert await engine.requests() == []
    assert await engine.running() == []
    assert runner_processes() == []


async def test_a_while_of_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    async with engine_with(tmp_path, max_loaded_models=ROOM, num_parallel=2) as engine:
        clients = [Client(engine, seed) for seed in range(4)]

        async def moves(client: Client) -> None:
            for _ in range(12):
                await client.move()

        async with asyncio.timeout(60):
            await asyncio.gather(*map(moves, clients))
        assert sum(client.ends["whole"] for client in clients) > 4
        await leaves_nothing_behind(engine)


@pytest.mark.soak
async def test_a_minute_of_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    this = psutil.Process()
    async with engine_with(tmp_path, max_loaded_models=ROOM) as engine:
        clients = [Client(engine, seed) for seed in range(CLIENTS)]

        async def moves(client: Client, until: float) -> None:
            while time.monotonic() < until:
                await client.move()

        await moves(clients[1], time.monotonic() + 5)
        files, memory = this.num_fds(), this.memory_info().rss
        await asyncio.gather(*(moves(client, time.monotonic() + MINUTE) for client in clients))
        assert min(client.ends["whole"] for client in clients) > 10
        await leaves_nothing_behind(engine)
        assert this.num_fds() <= files + 2
        assert this.memory_info().rss < memory + 100_000_000


@pytest.mark.soak
async def test_eight_models_in_turn_with_room_for_two_leak_nothing(tmp_path: Path) -> None:
    """Every request loads a model and sends another away; SOAK_SECONDS in the environment makes it shorter."""
    this, names = psutil.Process(), [f"m{number}" for number in range(8)]
    async with LocalEngine(Settings(models=tmp_path / "models", max_loaded_models=ROOM)) as engine:
        for number, name in enumerate(names):
            await import_gguf(engine, name, random_model(tmp_path / f"{name}.gguf", **TINY, seed=number))

        async def rounds(count: int) -> None:
            for _ in range(count):
                for name in names:
                    _, last = await text_of(engine, ask(name, options={"num_predict": 4, "num_ctx": 256}))
                    assert last.eval_count > 0
                    assert len(runner_processes()) <= ROOM

        await rounds(2)
        files, memory, threads = this.num_fds(), this.memory_info().rss, this.num_threads()
        began, done = time.monotonic(), 0
        while time.monotonic() - began < ROUND_ROBIN_SECONDS:
            await rounds(1)
            done += 1
        assert done >= 1
        assert this.num_fds() <= files + 2
        assert this.num_threads() <= threads + 2
        assert this.memory_info().rss < memory + LEAK
        for name in names:
            await engine.unload(name)
        await until(lambda: not runner_processes())
        assert this.num_fds() <= files
