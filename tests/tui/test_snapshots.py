"""How each pane looks: at 80x24 and larger sizes, and in each theme. Look at a snapshot before accepting it.

python -m pytest tests/tui/test_snapshots.py --snapshot-update
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import textual
from textual.pilot import Pilot

from ollama_engine.errors import LoadFailed
from ollama_tui.app import Workstation
from ollama_tui.services.history import SAMPLES
from tests.support.demo_engine import DemoEngine, demo_models, demo_requests, demo_running
from tests.support.workstation import screen_text, talked, until, workstation

pytestmark = pytest.mark.skipif(
    textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8, others draw differently"
)

Compare = Callable[..., bool]
SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 50)
TALL = (160, 45)


def by_size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@pytest.fixture
def compare(snap_compare: Compare, tmp_path: Path) -> Compare:
    """Snapshot of a workstation that has pressed `keys` and shows `words`."""

    def check(engine: DemoEngine, size: tuple[int, int], keys: list[str], words: str, *, theme: str = "ink") -> bool:
        app = workstation(tmp_path, engine)
        app.theme = theme
        return snap_compare(app, terminal_size=size, run_before=_drive(app, keys, words))

    return check


def _drive(app: Workstation, keys: list[str], words: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.focused and app.services.library.view.value.known)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: words in screen_text(app))
        await pilot.pause(0.2)

    return drive


def engine() -> DemoEngine:
    return DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle")])


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=by_size)
def test_library(compare: Compare, size: tuple[int, int]) -> None:
    assert compare(engine(), size, [], "●   bard:latest")


def test_library_details_at_80_columns(compare: Compare) -> None:
    assert compare(engine(), SMALL, ["down", "i"], "architecture  llama")


def test_library_filter(compare: Compare) -> None:
    assert compare(engine(), SMALL, ["slash", *"coder"], "qwen2.5-coder")


def test_library_with_the_toy_alone(compare: Compare) -> None:
    assert compare(DemoEngine(models=demo_models()[:1]), SMALL, [], "fits this machine")


@pytest.fixture
def compare_ps(snap_compare: Compare, tmp_path: Path) -> Compare:
    """Snapshot of the PS pane after two minutes, told in sixty refreshes; `keys` are pressed then."""

    def check(engine: DemoEngine, size: tuple[int, int], *, theme: str = "ink", keys: tuple[str, ...] = ()) -> bool:
        app = workstation(tmp_path, engine)
        app.theme = theme

        async def drive(pilot: Pilot[None]) -> None:
            monitor = app.services.monitor
            await until(pilot, lambda: app.focused and app.services.library.view.value.known)
            await pilot.press("3")
            await until(pilot, lambda: monitor.view.value.known and monitor.view.value.devices)
            monitor.leave()  # from here on it is asked when we say so
            for number in range(SAMPLES):
                wave = math.sin(number / 6)
                for model in engine.in_memory:
                    if model.state == "busy":
                        model.tokens_per_second = 87.4 + 40 * wave
                        model.prompt_tokens_per_second = 1204.0 * (number % 20 < 4)
                for device, most in zip(engine.machine, (30, 97), strict=True):
                    device.utilization = most / 2 * (1 + wave)
                await monitor.refresh()
            await pilot.press(*keys)
            await pilot.pause(0.2)

        return snap_compare(app, terminal_size=size, run_before=drive)

    return check


def at_work() -> DemoEngine:
    demo = DemoEngine(
        running=[demo_running(), demo_running("bard:latest", "idle"), demo_running("qwen2.5-coder:7b", "loading")]
    )
    demo.running_requests = demo_requests()
    return demo


@pytest.mark.parametrize("theme", ["ink", "paper", "contrast"])
@pytest.mark.parametrize("size", [SMALL, TALL], ids=by_size)
def test_ps(compare_ps: Compare, size: tuple[int, int], theme: str) -> None:
    assert compare_ps(at_work(), size, theme=theme)


def test_ps_with_an_idle_model_selected(compare_ps: Compare) -> None:
    assert compare_ps(at_work(), SMALL, keys=("down",))


def test_ps_asks_how_long_a_model_stays(compare_ps: Compare) -> None:
    assert compare_ps(at_work(), SMALL, keys=("t", "1", "0"))


def test_ps_with_more_models_than_lines(compare_ps: Compare) -> None:
    many = DemoEngine(running=[demo_running(), *(demo_running(f"bard:{number}", "idle") for number in range(20))])
    for number, model in enumerate(many.in_memory):
        model.pid = 4242 + number
    many.running_requests = demo_requests()
    assert compare_ps(many, SMALL)


def test_ps_with_nothing_in_memory(compare: Compare) -> None:
    assert compare(DemoEngine(), SMALL, ["3"], "No model is in memory")


@pytest.mark.parametrize("size", [SMALL, MIDDLE, LARGE], ids=by_size)
def test_chat(compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    asyncio.run(talked(tmp_path))
    assert compare(engine(), size, ["4"], "42.0 tok/s")


def test_chat_before_the_first_word(compare: Compare) -> None:
    assert compare(DemoEngine(models=demo_models()[:1]), SMALL, ["4"], "fits this machine")


def test_chat_while_it_streams(compare: Compare) -> None:
    streaming = engine()
    streaming.gate = asyncio.Semaphore(30)
    assert compare(streaming, SMALL, ["4", *"hail", "enter"], "a longer")


def test_chat_that_failed(compare: Compare) -> None:
    failing = engine()
    failing.failures["chat"] = LoadFailed("llama3.1:8b needs 6.7 GB, 2 GB are free", hint="Unload a model in PS (3).")
    assert compare(failing, SMALL, ["4", *"hail", "enter"], "✗ llama3.1:8b needs")


def test_chat_model_picker(compare: Compare) -> None:
    assert compare(engine(), SMALL, ["4", "ctrl+o"], "Which model answers")


def test_keys(compare: Compare) -> None:
    assert compare(engine(), SMALL, ["4", "escape", "question_mark"], "Keys · Chat")
