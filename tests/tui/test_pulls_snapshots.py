"""How Pulls looks: nothing on its way, three pulls, one that failed. Look at a snapshot before accepting it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import textual
from textual.pilot import Pilot

from ollama_engine.types import TransferLimits
from tests.support.demo_engine import NOW, DemoEngine
from tests.support.demo_pulls import MB, demo_pull, failed_pull
from tests.support.workstation import screen_text, until, workstation

pytestmark = pytest.mark.skipif(
    textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8, others draw differently"
)

Compare = Callable[..., bool]
SMALL, TALL = (80, 24), (160, 45)
SECONDS = 60


@pytest.fixture
def compare(snap_compare: Compare, tmp_path: Path) -> Compare:
    """Snapshot of Pulls after a minute, in which the first pull went now faster, now slower."""

    def check(engine: DemoEngine, size: tuple[int, int], words: str, *, theme: str = "ink", keys: str = "") -> bool:
        now = [NOW]
        app = workstation(tmp_path, engine, clock=lambda: now[0])
        app.theme = theme

        async def drive(pilot: Pilot[None]) -> None:
            pulls = app.services.pulls
            await until(pilot, lambda: app.focused and app.services.library.view.value.known)
            await pilot.press("2")
            await until(pilot, lambda: pulls.view.value.known and pulls.view.value.limits)
            for second in range(SECONDS):
                now[0] += 1.0
                for view in list(engine.queue.views.values())[:1]:
                    engine.queue.views[view.id] = demo_pull(view.name, rate=(38 + 20 * math.sin(second / 6)) * MB)
                pulls.take(list(engine.queue.views.values()))
            await pilot.press(*filter(None, keys.split()))
            await until(pilot, lambda: words in screen_text(app))
            await pilot.pause(0.6)

        return snap_compare(app, terminal_size=size, run_before=drive)

    return check


def three() -> DemoEngine:
    engine = DemoEngine(
        pulls=[
            demo_pull("llama3.1:8b"),
            demo_pull("hf.co/somebody/a-model-of-a-long-name-GGUF:Q4_K_M", "queued", part=0.0),
            failed_pull(
                "qwen3:99b",
                "pull model manifest: file does not exist",
                "Look for its name in the catalog of the Library (1).",
            ),
        ]
    )
    engine.queue.limits = TransferLimits(50 << 20, 182_000 * MB)
    return engine


@pytest.mark.parametrize("theme", ["ink", "paper", "contrast"])
@pytest.mark.parametrize("size", [SMALL, TALL], ids=lambda size: f"{size[0]}x{size[1]}")
def test_three_pulls(compare: Compare, size: tuple[int, int], theme: str) -> None:
    assert compare(three(), size, "limit 50M/s", theme=theme)


def test_a_failed_pull(compare: Compare) -> None:
    assert compare(three(), SMALL, "file does not exist", keys="end")


def test_cancel_asks(compare: Compare) -> None:
    assert compare(three(), SMALL, "are here already", keys="x")


@pytest.mark.parametrize("size", [SMALL, TALL], ids=lambda size: f"{size[0]}x{size[1]}")
def test_nothing_on_its_way(compare: Compare, size: tuple[int, int]) -> None:
    assert compare(DemoEngine(), size, "Nothing is on its way")
