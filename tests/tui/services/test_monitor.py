"""What the PS pane is told: models and devices apart, histories, and nothing while nobody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from ollama_engine.errors import NotSupported, RunnerDied
from ollama_tui.services import EngineLink, MonitorService, ResidencyService
from ollama_tui.services.history import SAMPLES, History
from ollama_tui.services.monitor import keyed
from tests.support.demo_engine import DemoEngine, demo_requests, demo_running

BUSY = demo_running()
KEY = BUSY.name


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine() -> DemoEngine:
    return DemoEngine(running=[demo_running()])


@pytest.fixture
async def monitor(engine: DemoEngine) -> AsyncIterator[MonitorService]:
    link = EngineLink.to(engine, "demo")
    residency = ResidencyService(link, refresh_seconds=0.01)
    monitor = MonitorService(link, residency, clock=Clock())
    yield monitor
    await monitor.aclose()
    await residency.aclose()


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "this never came true"
        await asyncio.sleep(0.005)


async def test_nobody_is_asked_while_nobody_looks(engine: DemoEngine, monitor: MonitorService) -> None:
    monitor.watch()
    await until(lambda: engine.polls > 1 and engine.device_polls > 1)
    monitor.leave()
    await until(lambda: not monitor.watched)
    await asyncio.sleep(0.03)  # the last round ends
    asked = (engine.polls, engine.device_polls)
    await asyncio.sleep(0.05)
    assert (engine.polls, engine.device_polls) == asked
    monitor.watch()
    await until(lambda: engine.polls > asked[0] and engine.device_polls > asked[1])


async def test_speeds_and_loads_are_kept_as_they_went(engine: DemoEngine, monitor: MonitorService) -> None:
    monitor.watch()
    await until(lambda: len(monitor.view.value.generation.get(KEY, ())) > 2)
    engine.in_memory = [demo_running(state="idle")]
    await until(lambda: monitor.view.value.generation[KEY][-1] == 0)
    view = monitor.view.value
    assert view.generation[KEY][0] == 87.4
    assert view.prompts[KEY][0] == 1204
    assert view.load["CUDA0"][0] == 93
    engine.in_memory = []
    await until(lambda: not monitor.view.value.models)
    assert monitor.view.value.generation == {}


async def test_a_server_that_tells_no_devices_still_tells_of_models(
    engine: DemoEngine, monitor: MonitorService
) -> None:
    engine.failures["devices"] = NotSupported("the server does not tell its devices")
    monitor.watch()
    await until(lambda: monitor.view.value.known and monitor.view.value.devices_error)
    assert monitor.view.value.error is None
    assert monitor.view.value.models == {KEY: BUSY}


async def test_an_engine_that_fails_is_an_error_in_the_view_and_no_sample(
    engine: DemoEngine, monitor: MonitorService
) -> None:
    monitor.watch()
    await until(lambda: monitor.view.value.known)
    engine.failures["running"] = RunnerDied("gone")
    await monitor.refresh()
    assert str(monitor.view.value.error) == "gone"
    taken = len(monitor.view.value.generation[KEY])
    await monitor.refresh()
    assert len(monitor.view.value.generation[KEY]) == taken


async def test_requests_are_told_where_the_server_tells_them(engine: DemoEngine, monitor: MonitorService) -> None:
    engine.running_requests = demo_requests()
    monitor.watch()
    await until(lambda: len(monitor.view.value.requests) == 2)
    await monitor.cancel("a1f")
    assert [request.id for request in monitor.view.value.requests] == ["a20"]
    engine.failures["requests"] = NotSupported("no requests")
    await monitor.refresh()
    assert monitor.view.value.requests == ()


async def test_to_keep_a_model_is_to_load_it_with_another_keep_alive(
    engine: DemoEngine, monitor: MonitorService
) -> None:
    await monitor.keep("llama3.1:8b", "1h")
    assert engine.kept == [("llama3.1:8b", "1h")]


def test_models_keep_their_place_and_their_key_whatever_they_do() -> None:
    loading, bard = demo_running(state="loading"), demo_running("bard:latest", "idle")
    before = keyed([loading, bard])
    assert list(before) == ["bard:latest", KEY]
    assert list(keyed([demo_running(), bard], before)) == ["bard:latest", KEY]
    assert list(keyed([demo_running("new:latest"), demo_running(), bard], before)) == ["bard:latest", KEY, "new:latest"]


def test_two_runners_of_one_model_are_two() -> None:
    one, other, loading = demo_running(), demo_running("llama3.1:8b", "idle"), demo_running(state="loading")
    other.pid = one.pid + 1
    both = {KEY: one, f"{KEY} 2": other}
    assert keyed([other, one]) == both
    assert keyed([loading, other, one]) == {**both, f"{KEY} 3": loading}


class TestHistory:
    def test_it_holds_the_last_samples_of_what_is_still_there(self) -> None:
        history = History(2.0)
        for number in range(SAMPLES + 5):
            history.add([("a", float(number))], 2.0 * number)
        assert len(history["a"]) == SAMPLES
        assert (history["a"][0], history["a"][-1]) == (5.0, SAMPLES + 4.0)
        history.add([("b", 1.0)], 200.0)
        assert (history["a"], history["b"]) == ((), (1.0,))

    def test_a_time_in_which_nobody_looked_is_a_hole(self) -> None:
        history = History(2.0)
        for now in (0.0, 2.0, 4.5, 60.0):
            history.add([("a", 1.0)], now)
        assert history["a"] == (1.0, 1.0, 1.0, None, 1.0)
