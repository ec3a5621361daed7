"""The service measures whichever pane is shown, keeps all of it, and stops when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ollama_engine.bench import History, Plan
from ollama_engine.errors import InvalidRequest, ServerUnreachable
from ollama_engine.types import Device
from ollama_tui.services.bench import BenchService, BenchView
from ollama_tui.services.link import EngineLink
from tests.support.bench_runs import result, run
from tests.support.demo_engine import NOW, DemoEngine, demo_requests

PLAN = Plan(models=("bard", "llama3.1:8b"), prompts=(16,), generates=(6,), repeats=2)


@pytest.fixture
async def demo() -> DemoEngine:
    return DemoEngine()


@pytest.fixture
async def bench(demo: DemoEngine, tmp_path: Path) -> AsyncIterator[BenchService]:
    service = BenchService(EngineLink.to(demo, "this machine"), tmp_path / "bench.db", clock=lambda: NOW)
    yield service
    await service.aclose()


async def until(service: BenchService, true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        async for _ in service.view.watch():
            if true():
                return


async def test_a_run_is_measured_and_kept(bench: BenchService) -> None:
    bench.start(PLAN)
    await until(bench, lambda: not bench.view.value.active)
    view = bench.view.value
    assert view.run is not None
    assert (view.run.id, view.run.state, view.error) == (1, "done", None)
    assert [one.state for one in view.run.cells] == ["done", "done"]
    assert {point.series for point in view.speeds} == {0, 1}
    assert view.run.started_at == "2026-03-01T12:00:00+00:00"
    assert view.run.surroundings.engine == "this machine"
    assert await bench.open(1) == view.run
    async with asyncio.timeout(10):
        async for runs in bench.runs.watch():
            if [one.id for one in runs] == [1]:
                break


async def test_stopping_keeps_what_was_measured(bench: BenchService, demo: DemoEngine) -> None:
    demo.gate = asyncio.Semaphore(3 * 6 + 4)  # a warm-up and two rounds of one model, and some of the next
    bench.start(PLAN)
    await until(bench, lambda: bench.view.value.run and bench.view.value.run.cells[1].state == "running")
    await bench.stop()
    view = bench.view.value
    assert view.run is not None
    assert not view.active
    assert (view.run.state, [one.state for one in view.run.cells]) == ("stopped", ["done", "waiting"])
    assert await bench.open(1) == view.run


async def test_only_one_is_measured_at_a_time(bench: BenchService, demo: DemoEngine) -> None:
    demo.gate = asyncio.Semaphore(0)
    bench.start(PLAN)
    bench.start(Plan(models=("qwen2.5-coder:7b",)))
    await until(bench, lambda: bench.view.value.run)
    assert bench.view.value.run is not None
    assert bench.view.value.run.plan.models == ("bard:latest", "llama3.1:8b")


async def test_a_server_that_goes_away_ends_it_with_its_error(bench: BenchService, demo: DemoEngine) -> None:
    demo.failures["tokenize"] = ServerUnreachable("demo does not answer", hint="Start it.")
    bench.start(PLAN)
    await until(bench, lambda: not bench.view.value.active)
    view = bench.view.value
    assert view.error is demo.failures["tokenize"]
    assert view.run is not None
    assert view.run.state == "stopped"


async def test_a_plan_that_is_wrong_starts_nothing(bench: BenchService) -> None:
    with pytest.raises(InvalidRequest, match="repeats"):
        bench.start(Plan(models=("bard",), repeats=0))
    assert not bench.view.value.active


async def test_others_at_work_are_seen_while_the_pane_is_looked_at(bench: BenchService, demo: DemoEngine) -> None:
    demo.running_requests = demo_requests()
    bench.watch()
    await until(bench, lambda: bench.view.value.disturbances)
    assert bench.view.value.disturbances == (
        "other requests at work",
        "CUDA0 busy with other work",
    )
    bench.leave()


async def test_figures_that_move_are_not_told_again_and_again(
    bench: BenchService, demo: DemoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_tui.services.bench.LOOK_SECONDS", 0)
    monkeypatch.setattr("ollama_engine.bench.surroundings.REST", 0)
    looks, enough = 0, asyncio.Event()
    told: list[tuple[str, ...]] = []
    publish = bench.view.publish

    def tell(view: BenchView) -> None:
        told.append(view.disturbances)
        publish(view)

    async def devices() -> list[Device]:
        """Busy with another figure each time, and at times not at all."""
        nonlocal looks
        looks += 1
        if looks == 100:
            enough.set()
        return [Device("CPU", "", "cpu", 1, 1, utilization=0.0 if looks % 5 == 4 else 31.0 + looks % 60)]

    monkeypatch.setattr(demo, "devices", devices)
    monkeypatch.setattr(bench.view, "publish", tell)
    bench.watch()
    async with asyncio.timeout(10):
        await enough.wait()
    assert told == [("CPU busy with other work",)]
    demo.machine = []
    monkeypatch.setattr(demo, "devices", DemoEngine.devices.__get__(demo))
    await until(bench, lambda: not bench.view.value.disturbances)
    bench.leave()


async def test_runs_are_named_compared_exported_and_deleted(bench: BenchService, tmp_path: Path) -> None:
    with History(tmp_path / "bench.db") as history:
        for speeds in ([100, 101, 102], [70, 71, 72]):
            history.save(run(result(speeds)))
    await bench.show(1)
    await bench.annotate(1, "first")
    assert bench.view.value.run is not None
    assert (bench.view.value.run.note, bench.runs.value[1].note) == ("first", "first")
    assert {one.verdict for one in (await bench.compare(1, 2)).differences} == {"unsure", "worse", "same"}
    await bench.export(bench.view.value.run, tmp_path / "out" / "run.csv")
    assert (tmp_path / "out" / "run.csv").read_text().count("\n") == 4
    await bench.delete(1)
    assert bench.view.value.run is None
    assert [one.id for one in bench.runs.value] == [2]
