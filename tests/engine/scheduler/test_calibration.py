"""What loads have taken is remembered by model, way of loading and build, and places the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from ollama_engine.gguf.metadata import read_metadata
from ollama_engine.options import Options
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Buffer, LoadSpec
from ollama_engine.scheduler.calibration import MOST, Calibration, Measured, OnDevice, calibrated, measure
from ollama_engine.scheduler.placement import GIB, MIB, FreeMemory, GpuMemory, Placement, place
from ollama_engine.settings import Settings
from tests.support.gguf_models import TINY, random_model

SPEC = LoadSpec(["/models/blobs/sha256-1"], 4096, n_seq=2)
TAKEN = Measured({"CPU": OnDevice(3 * MIB, 2 * MIB, MIB)}, process=50 * MIB)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "loads.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return random_model(tmp_path / "m.gguf", **TINY)


async def gpus() -> list[str]:
    return []


def opened(file: Path, build: str = "1") -> Calibration:
    calibration = Calibration(file, build=build)
    calibration.load()
    return calibration


async def test_what_was_learned_is_known_to_the_next_program(file: Path) -> None:
    await opened(file).learn(SPEC, [], TAKEN)
    assert opened(file).recall(SPEC, []) == TAKEN
    assert [one.name for one in file.parent.iterdir()] == [file.name]


async def test_only_the_same_load_of_the_same_build_is_known(file: Path) -> None:
    await opened(file).learn(SPEC, ["CUDA0"], TAKEN)
    known = opened(file)
    moved = replace(SPEC, model_paths=["/elsewhere/sha256-1"], n_threads=3)
    assert known.recall(moved, ["CUDA0"]) == TAKEN
    others = [{"n_ctx": 2048}, {"n_seq": 4}, {"cache_type_k": "q8_0"}, {"model_paths": ["/models/blobs/sha256-2"]}]
    assert not any(known.recall(replace(SPEC, **other), ["CUDA0"]) for other in others)
    assert known.recall(SPEC, []) is None
    assert opened(file, build="2").recall(SPEC, ["CUDA0"]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format":1,"loads":{"a":{"devices":{"CPU":[-1]}}}}',
        b'{"format":1,"loads":{"a":{"devices":{"CPU":[99999999999999999999]}}}}',
        b" " * (2 << 20),
    ],
)
async def test_a_broken_file_is_told_of_and_written_anew(
    content: bytes, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    calibration = opened(file)
    assert calibration.recall(SPEC, []) is None
    assert str(file) in caplog.text
    await calibration.learn(SPEC, [], TAKEN)
    assert opened(file).recall(SPEC, []) == TAKEN


async def test_where_nothing_can_be_written_it_is_known_until_the_end(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.write_bytes(b"no folder")
    calibration = opened(file)
    await calibration.learn(SPEC, [], TAKEN)
    assert calibration.recall(SPEC, []) == TAKEN
    assert "cannot be remembered" in caplog.text


async def test_two_programs_do_not_forget_for_each_other(file: Path) -> None:
    one, two = opened(file), opened(file)
    other = replace(SPEC, n_ctx=512)
    await asyncio.gather(one.learn(SPEC, [], TAKEN), two.learn(other, [], TAKEN))
    await two.learn(replace(SPEC, n_ctx=256), [], TAKEN)
    assert opened(file).recall(other, []) == TAKEN


async def test_the_oldest_are_forgotten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ollama_engine.scheduler.calibration.MOST", 3)
    assert MOST > 3
    calibration = opened(file)
    for n_ctx in (1, 2, 3, 4):
        await calibration.learn(replace(SPEC, n_ctx=n_ctx), [], TAKEN)
    known = opened(file)
    assert [bool(known.recall(replace(SPEC, n_ctx=n_ctx), [])) for n_ctx in (1, 2, 3, 4)] == [False, True, True, True]


async def test_a_load_is_measured_and_the_next_placement_knows(file: Path, model: Path) -> None:
    calibration = opened(file)

    def placed() -> Placement:
        asked = Options(num_ctx=512)
        given = frozenset({"num_ctx"})
        free = FreeMemory(8 * GIB)
        return place([model], read_metadata(model), asked, given, Settings(), free, calibration=calibration)

    estimated = placed()
    assert not estimated.calibrated
    runner = await calibrated(Runner.start, calibration, gpus)(estimated.spec)
    try:
        found = measure(runner)
    finally:
        await runner.aclose()
    known = placed()
    assert known.calibrated
    assert known.spec == estimated.spec
    assert known.split is not None
    cpu = known.split.cpu
    assert OnDevice(cpu.weights, cpu.cache, cpu.compute) == found.devices["CPU"]
    assert opened(file).recall(known.spec, []) is not None


async def test_a_load_that_took_more_of_the_gpu_than_expected_is_placed_with_less_there(
    file: Path, model: Path
) -> None:
    calibration = opened(file)
    free = FreeMemory(8 * GIB, (GpuMemory("CUDA0", GIB, GIB),))

    def placed() -> Placement:
        settings = Settings(num_parallel=1, context_length=512)
        return place([model], read_metadata(model), Options(), frozenset(), settings, free, calibration=calibration)

    whole = placed()
    assert whole.split is not None
    assert whole.split.gpu_layers == whole.layers
    await calibration.learn(whole.spec, ["CUDA0"], Measured({"CPU": OnDevice(), "CUDA0": OnDevice(compute=2 * GIB)}))
    again = placed()
    assert again.split is not None
    assert again.spec.n_gpu_layers == again.split.gpu_layers < whole.layers
    assert again.device_needed.get("CUDA0", 0) <= GIB


async def test_a_runner_whose_load_is_given_up_while_it_is_measured_ends(file: Path) -> None:
    class Loaded:
        pid = 1
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    runner = Loaded()

    async def start(spec: LoadSpec, **_: Any) -> Runner:
        return cast(Runner, runner)

    async def broken() -> list[str]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await calibrated(start, opened(file), broken)(SPEC)
    assert runner.closed


def test_buffers_are_summed_by_device_and_kind() -> None:
    class Info:
        buffers = (
            Buffer("CUDA0", "model", 10),
            Buffer("CPU_Mapped", "model", 5),
            Buffer("CPU_REPACK", "model", 4),
            Buffer("CUDA0", "KV", 3),
            Buffer("CUDA0", "RS", 2),
            Buffer("CUDA0", "compute", 1),
            Buffer("CUDA_Host", "compute", 7),
            Buffer("CPU", "output", 100),
        )

    class Loaded:
        info = Info()
        pid = 1 << 30

    found = measure(cast(Runner, Loaded()))
    assert found == Measured({"CUDA0": OnDevice(10, 5, 1), "CPU": OnDevice(9, 0, 7)}, 0)
