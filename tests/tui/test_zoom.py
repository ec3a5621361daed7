"""Zoom: the first step hides what a pane shows beside its main thing, the second the first and the last line too."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from ollama_engine.bench import History
from ollama_tui import panes
from ollama_tui.app import Workstation
from ollama_tui.widgets.key_line import KeyLine
from tests.support.bench_runs import result, run
from tests.support.demo_engine import DemoEngine, demo_requests, demo_running
from tests.support.demo_pulls import demo_pull
from tests.support.workstation import screen_text, until, workstation

WIDE = (160, 45)
FRAME = ("1 Library", "5 Bench", "? keys")
BESIDE = {
    "library": ("Discover", "architecture"),
    "pulls": ("at most", "1 pulling"),
    "ps": ("A graphics card", "192.0.2.7", "resident"),
    "chat": ("Conversations",),
    "bench": ("History", "tokens/s of all answers", "load 400 ms"),
}
"""Words of what stands beside the main thing of a pane."""
MAIN = {
    "library": "qwen2.5-coder:7b",
    "pulls": "llama3.1:8b",
    "ps": "bard:latest",
    "chat": "A new conversation",
    "bench": "llama3.1:8b",
}


def busy(folder: Path) -> Workstation:
    """A workstation each of whose panes has something to show beside its main thing."""
    with History(folder / "bench.db") as history:
        history.save(run(*(result([speed, speed, speed], "llama3.1:8b") for speed in (98, 100))))
    engine = DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle")], pulls=[demo_pull("llama3.1:8b")])
    engine.running_requests = demo_requests()
    return workstation(folder, engine)


async def go_to(pilot: Pilot[None], app: Workstation, pane: str) -> None:
    """By keys alone, to where the pane shows all it has."""
    await until(pilot, lambda: app.focused and app.services.library.view.value.known)
    await pilot.press(str(list(panes.TITLES).index(pane) + 1))
    await until(pilot, lambda: app.pane == pane)
    if pane == "chat":
        await pilot.press("ctrl+l")
    if pane == "bench":
        await until(pilot, lambda: app.services.bench.runs.value)
        await pilot.press("right_square_bracket", "enter")
    await until(pilot, lambda: all(words in screen_text(app) for words in (*BESIDE[pane], *FRAME)))


def nothing_of(app: Workstation, words: tuple[str, ...]) -> bool:
    return not any(one in screen_text(app) for one in words)


@pytest.mark.parametrize("pane", panes.TITLES)
async def test_each_step_hides_more_and_back_shows_it_again(tmp_path: Path, pane: str) -> None:
    app = busy(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await go_to(pilot, app, pane)
        await pilot.press("plus")
        await until(pilot, lambda: nothing_of(app, BESIDE[pane]))
        await until(pilot, lambda: all(words in screen_text(app) for words in (*FRAME, MAIN[pane])))
        await pilot.press("plus")
        await until(pilot, lambda: nothing_of(app, FRAME))
        assert MAIN[pane] in screen_text(app)
        assert nothing_of(app, BESIDE[pane])
        await pilot.press("underscore")
        await until(pilot, lambda: all(words in screen_text(app) for words in FRAME))
        assert nothing_of(app, BESIDE[pane])
        await pilot.press("underscore")
        await until(pilot, lambda: all(words in screen_text(app) for words in BESIDE[pane]))


@pytest.mark.parametrize("pane", panes.TITLES)
async def test_escape_leaves_zoom(tmp_path: Path, pane: str) -> None:
    app = busy(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await go_to(pilot, app, pane)
        await pilot.press("plus", "plus")
        await until(pilot, lambda: nothing_of(app, FRAME))
        await pilot.press("escape")
        await until(pilot, lambda: all(words in screen_text(app) for words in (*BESIDE[pane], *FRAME)))


@pytest.mark.parametrize(
    ("pane", "key", "words"),
    [
        ("library", "i", "architecture"),
        ("library", "tab", "architecture"),
        ("ps", "tab", "192.0.2.7"),
        ("chat", "ctrl+l", "Conversations"),
        ("bench", "v", "tokens/s of all answers"),
    ],
)
async def test_to_ask_for_what_is_hidden_ends_zoom(tmp_path: Path, pane: str, key: str, words: str) -> None:
    app = busy(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await go_to(pilot, app, pane)
        await pilot.press("plus")
        await until(pilot, lambda: nothing_of(app, BESIDE[pane]))
        await pilot.press(key)
        await until(pilot, lambda: words in screen_text(app))
        assert app.zoom == 0


async def test_zoom_stays_from_pane_to_pane_and_keys_go_on_working(tmp_path: Path) -> None:
    app = busy(tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await go_to(pilot, app, "ps")
        await pilot.press("plus", "1")
        await until(pilot, lambda: app.pane == "library" and nothing_of(app, BESIDE["library"]))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "models as of" in screen_text(app))
        assert nothing_of(app, ("Installed", "download"))
        await pilot.press("down", "left_square_bracket", "down", "underscore")
        await until(pilot, lambda: all(words in screen_text(app) for words in BESIDE["library"]))


async def test_where_nothing_stands_beside_one_step_is_the_whole_way(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused and app.services.library.view.value.known)
        await pilot.press("4", "escape", "plus")
        await until(pilot, lambda: nothing_of(app, FRAME))
        await pilot.press("i", "plus")
        assert app.screen.query_one("#prompt").text == "+"  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("escape", "underscore")
        await until(pilot, lambda: all(words in screen_text(app) for words in FRAME))


async def test_back_and_forth_between_panes(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("minus")
        assert app.pane == "library"  # there was none before
        await pilot.press("ctrl+pagedown")
        await until(pilot, lambda: app.pane == "pulls")
        await pilot.press("ctrl+pageup", "ctrl+pageup")
        await until(pilot, lambda: app.pane == "bench")
        await pilot.press("ctrl+pagedown")
        await until(pilot, lambda: app.pane == "library")
        await pilot.press("3")
        await until(pilot, lambda: app.pane == "ps")
        await pilot.press("minus")
        await until(pilot, lambda: app.pane == "library")
        await pilot.press("minus")
        await until(pilot, lambda: app.pane == "ps")
        assert app.screen.query_one(KeyLine).display
