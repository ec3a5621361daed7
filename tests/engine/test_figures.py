"""What `ps` measures: by whom it is asked, how often, and what becomes of it where a process does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_engine import figures
from ollama_engine.figures import device_of, shares
from ollama_engine.local import LocalEngine
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Buffer, Stats
from ollama_engine.settings import Settings
from ollama_engine.types import DeviceShare, GenerateRequest
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import looping_model

ENDLESS = GenerateRequest("loop", "x", raw=True, options={"num_predict": -1})


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


@pytest.fixture
async def loaded(engine: LocalEngine, tmp_path: Path) -> LocalEngine:
    await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
    await engine.load("loop")
    return engine


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Runner]:
    """The runners that were asked for their figures, once for each time."""
    runners: list[Runner] = []
    stats = Runner.stats

    async def counted(runner: Runner) -> Stats:
        runners.append(runner)
        return await stats(runner)

    monkeypatch.setattr(Runner, "stats", counted)
    return runners


@pytest.mark.parametrize(
    ("buffer", "device"),
    [
        ("CPU", "CPU"),
        ("CPU_Mapped", "CPU"),
        ("CPU_REPACK", "CPU"),
        ("AMX", "CPU"),
        ("CUDA0", "CUDA0"),
        ("CUDA_Host", "CPU"),
        ("Vulkan1", "Vulkan1"),
        ("Vulkan_Host", "CPU"),
        ("Metal_Mapped", "Metal"),
        ("MTL0_Private", "MTL0"),
        ("ROCm0", "ROCm0"),
        ("RPC0[gpu_box:50052]", "RPC0"),
    ],
)
def test_a_buffer_lies_in_the_memory_of_its_device(buffer: str, device: str) -> None:
    assert device_of(buffer) == device


def test_buffers_add_up_by_device_and_kind_the_host_last() -> None:
    buffers = [
        Buffer("CPU_Mapped", "model", 5),
        Buffer("CUDA0", "model", 100),
        Buffer("CUDA1", "model", 50),
        Buffer("CUDA0", "KV", 20),
        Buffer("CUDA0", "RS", 2),
        Buffer("CUDA_Host", "output", 1),
        Buffer("CUDA0", "compute", 7),
        Buffer("CUDA_Host", "compute", 3),
        Buffer("CUDA0", "projector", 4),
    ]
    assert shares(buffers) == [
        DeviceShare(name="CUDA0", weights=100, kv_cache=22, compute=11),
        DeviceShare(name="CUDA1", weights=50),
        DeviceShare(name="CPU", weights=5, compute=4),
    ]


async def test_however_many_ask_a_runner_is_asked_once(loaded: LocalEngine, asked: list[Runner]) -> None:
    assert asked == []
    answers = await asyncio.gather(*(loaded.running() for _ in range(50)))
    assert len(asked) == 1
    assert {model.rss for (model,) in answers} == {answers[0][0].rss}
    assert answers[0][0].rss > 0


async def test_a_runner_whose_requests_have_changed_is_asked_again(loaded: LocalEngine, asked: list[Runner]) -> None:
    await loaded.running()
    stream = loaded.generate(ENDLESS)
    await anext(stream)
    (model,) = await loaded.running()
    assert (model.state, model.slots_busy, len(asked)) == ("busy", 1, 2)
    await stream.aclose()
    async with asyncio.timeout(10):
        while (await loaded.running())[0].slots_busy:
            pass
    assert (await loaded.running())[0].state == "idle"


async def test_a_loading_model_is_told_of_and_not_asked(
    engine: LocalEngine, tmp_path: Path, asked: list[Runner], monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
    load, go_on = Runner._load, asyncio.Event()

    async def held_up(runner: Runner, *arguments: object) -> None:
        await go_on.wait()
        await load(runner, *arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Runner, "_load", held_up)
    loading = asyncio.create_task(engine.load("loop"))
    async with asyncio.timeout(10):
        while not (running := await engine.running()):
            pass
    (model,) = running
    assert (model.state, model.pid, model.rss, model.size, model.devices) == ("loading", 0, 0, 0, [])
    assert model.context_length > 0
    assert asked == []
    go_on.set()
    await loading


async def test_a_runner_that_hangs_is_waited_for_once_and_said_to_hang(
    loaded: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = await loaded.running()
    os.kill(before.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(10):
            while not (await loaded.running())[0].notices:  # what was read before is given until the interval is over
                pass
        (hung,) = await loaded.running()
        assert hung.context_total == before.context_total
        assert hung.rss > 0
        (notice,) = hung.notices
        assert notice.startswith("its process has not answered for ")
        async with asyncio.timeout(10 * figures.PATIENCE):
            for _ in range(20):
                await loaded.running()
    finally:
        os.kill(before.pid, signal.SIGCONT)
    async with asyncio.timeout(10):
        while (await loaded.running())[0].notices:
            pass


async def test_a_model_that_stays_for_ever_has_no_time_to_unload(loaded: LocalEngine) -> None:
    await loaded.load("loop", keep_alive=-1)
    (model,) = await loaded.running()
    assert (model.keep_alive, model.expires_in) == (-1, -1)
    await loaded.load("loop", keep_alive="10m")
    (model,) = await loaded.running()
    assert model.keep_alive == 600
    assert model.expires_in is not None
    assert 590 < model.expires_in <= 600
    await loaded.load("loop", keep_alive=1e15)  # seconds: more than a date can say
    assert (await loaded.running())[0].expires_at > "2300"
