"""How Bench looks: empty, planned, while it measures, a whole run, two compared. Look before you accept one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import textual
from msgspec import structs
from textual.pilot import Pilot

from ollama_engine.bench import History, Run
from ollama_tui.app import Workstation
from ollama_tui.panes.bench.bench import Bench
from ollama_tui.panes.bench.speed_plot import SpeedPlot
from ollama_tui.services.bench import BenchView, SpeedPoint
from tests.support.bench_runs import result, run
from tests.support.demo_engine import DemoEngine, demo_devices
from tests.support.workstation import screen_text, until, workstation

pytestmark = pytest.mark.skipif(
    textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8, others draw differently"
)

Compare = Callable[..., bool]
SMALL, TALL = (80, 24), (160, 45)
FAILURE = "9000 tokens of prompt and 65 of answer need a context of 9065, and it is 8192. Give the option num_ctx=9065."


def whole(factor: float = 1.0, **fields: object) -> Run:
    """Two models, one much faster than the other, over requests at once; one cell of a third failed."""
    cells = [
        result([speed * factor * at_once**-power for speed in (98, 100, 103)], model, concurrency=at_once)
        for model, power in (("bard:latest", 0.3), ("llama3.1:8b", 0.8))
        for at_once in (1, 2, 4, 8)
    ]
    failed = result([], "qwen2.5-coder:7b", prompt=9000, state="failed", failure=FAILURE)
    return run(*cells, failed, **fields)


@pytest.fixture
def compare(snap_compare: Compare, tmp_path: Path) -> Compare:
    """Snapshot of Bench over `runs`, after `keys`; `view`, where given, is what the service tells."""

    def check(
        size: tuple[int, int],
        keys: str,
        words: str,
        *,
        runs: tuple[Run, ...] = (),
        view: BenchView | None = None,
        theme: str = "ink",
        plot: bool = False,
    ) -> bool:
        with History(tmp_path / "bench.db") as history:
            for one in runs:
                history.save(one)
        engine = DemoEngine()
        engine.machine = [structs.replace(one, utilization=2.0) for one in demo_devices()]
        app = workstation(tmp_path, engine)
        app.theme = theme

        async def drive(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: app.focused and app.services.library.view.value.known)
            await pilot.press("5")
            await until(pilot, lambda: isinstance(app.focused, Bench))
            await until(pilot, lambda: len(app.services.bench.runs.value) == len(runs))
            if view is not None:
                app.services.bench.view.publish(view)
            for key in keys.split():
                await pilot.press(key)
                await pilot.pause(0.1)
            await until(pilot, lambda: words in screen_text(app))
            await until(pilot, lambda: not plot or drawn(app))
            await pilot.pause(0.3)

        return snap_compare(app, terminal_size=size, run_before=drive)

    return check


def drawn(app: Workstation) -> bool:
    plot = app.screen.query_one(SpeedPlot)
    return plot.is_drawn and bool(plot.query("PlotWidget"))


everywhere = pytest.mark.parametrize(
    ("size", "theme"), [(size, theme) for size in (SMALL, TALL) for theme in ("ink", "paper", "contrast")], ids=str
)


def test_empty(compare: Compare) -> None:
    assert compare(SMALL, "", "Nothing is measured yet")


def test_planned(compare: Compare) -> None:
    assert compare(SMALL, "e", "9 measurements", runs=(whole(plan=plan()),))


def plan() -> object:
    planned = whole().plan
    return structs.replace(planned, prompts=(128, 2048, 4096), options=({"num_ctx": 8192},), repeats=5)


@pytest.mark.parametrize("size", [SMALL, TALL], ids=lambda size: f"{size[0]}x{size[1]}")
def test_while_it_measures(compare: Compare, size: tuple[int, int]) -> None:
    now = whole(state="running", ended_at="", warnings=("CUDA0 busy with other work: 93 %",))
    doing = structs.replace(now.cells[5], state="running", samples=now.cells[5].samples[:2], memory=None)
    waiting = [structs.replace(one, state="waiting", samples=(), memory=None, failure="") for one in now.cells[6:]]
    now = structs.replace(now, cells=(*now.cells[:5], doing, *waiting))
    points = tuple(
        SpeedPoint(n / 4, (100 + 40 * (n // 30)) * (1 + 0.05 * math.sin(n * 2.3)), n // 30) for n in range(170)
    )
    view = BenchView(run=now, active=True, doing="round 2/3, 96/130 tokens", speeds=points)
    assert compare(size, "down", "round 2/3", view=view, plot=True)


@everywhere
def test_a_run(compare: Compare, size: tuple[int, int], theme: str) -> None:
    keys = "right_square_bracket enter end"
    assert compare(size, keys, "Give the option num_ctx", runs=(whole(note="before"),), theme=theme, plot=True)


@everywhere
def test_history(compare: Compare, size: tuple[int, int], theme: str) -> None:
    runs = (whole(note="before"), whole(0.9, state="stopped"), run(result([1, 2, 3])))
    assert compare(size, "right_square_bracket down space", "2 marked", runs=runs, theme=theme)


@everywhere
def test_compared(compare: Compare, size: tuple[int, int], theme: str) -> None:
    before = whole()
    slow = whole(0.8).cells
    after = structs.replace(before, cells=(*slow[:3], *before.cells[3:7], whole(1.3).cells[7], before.cells[8]))
    keys = "right_square_bracket space space c"
    assert compare(size, keys, "against run 1", runs=(before, after), theme=theme)
