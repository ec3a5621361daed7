"""An engine under a mix of everything for a minute: answers stay right, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from pathlib import Path

import psutil
import pytest

from ollama_engine.errors import RunnerDied
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import ChatRequest, Message
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import runner_processes
from tests.support.gguf_models import looping_model, scripted_model

SECONDS = 60
CLIENTS = 6
TEXTS = {"one": "The first of them says this.", "two": "And the second says that.", "three": "Ça dépend, 日本."}


def ask(model: str, **fields: object) -> ChatRequest:
    return ChatRequest(model, [Message("user", "?")], **fields)  # pyright: ignore[reportArgumentType]


async def client(engine: LocalEngine, seed: int, until: float) -> int:
    """Random moves until the time is over; how many answers came whole and right."""
    moves, whole = random.Random(seed), 0
    while time.monotonic() < until:
        model = moves.choice([*TEXTS, "loop"])
        keep_alive = moves.choice([0, 1, 300])
        with contextlib.suppress(RunnerDied):  # another client's kill
            match moves.randrange(10):
                case 0:
                    await engine.unload(model)
                case 1 if seed == 0:
                    for running in await engine.running():
                        if running.pid:
                            with contextlib.suppress(ProcessLookupError):
                                os.kill(running.pid, 9)
                case 2 | 3:
                    async with contextlib.aclosing(engine.chat(ask("loop", keep_alive=keep_alive))) as stream:
                        for _ in range(moves.randrange(1, 20)):
                            await anext(stream)
                case _ if model != "loop":
                    request = ask(model, keep_alive=keep_alive, options={"num_ctx": moves.choice([128, 256, 512])})
                    text = "".join([chunk.message.content async for chunk in engine.chat(request)])
                    assert text == TEXTS[model]
                    whole += 1
                case _:
                    request = ask("loop", options={"num_predict": 20})
                    assert [chunk async for chunk in engine.chat(request)][-1].eval_count == 20
    return whole


@pytest.mark.soak
async def test_a_minute_of_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    this = psutil.Process()
    async with LocalEngine(Settings(models=tmp_path / "models", max_loaded_models=2)) as engine:
        for name, text in TEXTS.items():
            await import_gguf(engine, name, scripted_model(tmp_path / f"{name}.gguf", text))
        await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
        await client(engine, 1, time.monotonic() + 5)
        files, memory = this.num_fds(), this.memory_info().rss
        until = time.monotonic() + SECONDS
        whole = await asyncio.gather(*(client(engine, seed, until) for seed in range(CLIENTS)))
        assert min(whole) > 10
        for model in await engine.running():
            await engine.unload(model.name)
        assert await engine.running() == []
        assert runner_processes() == []
        assert this.num_fds() <= files + 2
        assert this.memory_info().rss < memory + 100_000_000
