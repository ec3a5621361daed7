"""Pulls: the queue of downloads, by keyboard alone: every action, what it says, what moves and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.content import Content
from textual.pilot import Pilot

from ollama_engine.errors import Busy, NotSupported
from ollama_tui.app import Workstation
from ollama_tui.panes.pulls.pane import PullsPane, painting_interval
from tests.support.demo_engine import DemoEngine
from tests.support.demo_pulls import MB, demo_pull, failed_pull
from tests.support.workstation import notices, screen_text, until, workstation

SMALL, LARGE = (80, 24), (160, 45)
FAILURE = ("pull model manifest: file does not exist", "Look for its name in the catalog of the Library (1).")


def three() -> DemoEngine:
    """One on its way, one that waits, one that failed."""
    return DemoEngine(
        pulls=[demo_pull("llama3.1:8b"), demo_pull("phi4:14b", "queued", part=0.0), failed_pull("nosuch:1b", *FAILURE)]
    )


def line_of(app: Workstation, start: str) -> str:
    return next(line for line in screen_text(app).splitlines() if line.strip().startswith(start))


def states(engine: DemoEngine) -> list[str]:
    return [view.state for view in engine.queue.views.values()]


async def open_pulls(pilot: Pilot[None], words: str) -> None:
    """Go to the pane, and wait until the queue is drawn and `words` are there."""
    app = pilot.app
    assert isinstance(app, Workstation)
    await pilot.press("2")
    await until(
        pilot, lambda: app.pane == "pulls" and app.services.pulls.view.value.known and words in screen_text(app)
    )
    await until(pilot, lambda: "free" in screen_text(app).splitlines()[-2])


def row(app: Workstation, name: str) -> list[str]:
    return line_of(app, name).split()


async def test_a_pull_shows_its_share_speed_time_left_and_every_layer(tmp_path: Path) -> None:
    app = workstation(tmp_path, three())
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        assert row(app, "llama3.1:8b") == ["llama3.1:8b", "pulling", "42%", "━━━━", "38", "MB/s", "1:14", "4.9", "GB"]
        assert row(app, "phi4:14b") == ["phi4:14b", "waiting", "0%", "4.9", "GB"]
        assert "42%  2.1 GB of 4.9 GB" in line_of(app, "6a0746a1ec1a")
        assert "100%  12 kB of 12 kB" in line_of(app, "f1cd752815fc")
        assert "1 pulling, 1 waiting · 38 MB/s · 7.8 GB to come · 182 GB free" in screen_text(app)


async def test_what_failed_says_why_and_what_to_do_and_is_tried_again(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "nosuch:1b")
        await pilot.press("end")
        await until(pilot, lambda: FAILURE[0] in screen_text(app))
        assert FAILURE[1] in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: states(engine) == ["running", "queued", "running"])
        await until(pilot, lambda: FAILURE[0] not in screen_text(app))


async def test_a_name_is_asked_for_and_pulled(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "Nothing is on its way")
        await pilot.press("a")
        await until(pilot, lambda: "Pull a model" in screen_text(app))
        await pilot.press(*"qwen3:4b", "enter")
        await until(pilot, lambda: row(app, "qwen3:4b")[1] == "pulling")
        await pilot.press("p", *"a b", "enter")
        await until(pilot, lambda: any("invalid model name" in notice for notice in notices(app)))
        assert list(engine.queue.views) == ["qwen3-4b"]


async def test_the_cursor_goes_to_what_was_queued_last(tmp_path: Path) -> None:
    app = workstation(tmp_path, three())
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "nosuch:1b")
        await pilot.press("a", *"qwen3:4b", "enter")
        await until(pilot, lambda: app.screen.query_one(PullsPane).table.selected == "qwen3-4b")


async def test_a_registry_over_plain_http_is_named_with_a_word(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "Nothing is on its way")
        await pilot.press("a", *"lan:5000/a/b:c --insecure", "enter")
        await until(pilot, lambda: engine.queue.requests)
        assert [(request.model, request.insecure) for request in engine.queue.requests] == [("lan:5000/a/b:c", True)]


async def test_space_pauses_and_resumes_and_all_at_once_too(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        for keys, wanted, shown in (
            ("space", ["paused", "queued", "failed"], "paused"),
            ("space", ["running", "queued", "failed"], "pulling"),
            ("P", ["paused", "paused", "failed"], "paused"),
            ("R", ["running", "running", "queued"], "pulling"),
        ):
            await pilot.press(keys)
            await until(pilot, lambda wanted=wanted: states(engine) == wanted)
            await until(pilot, lambda shown=shown: row(app, "llama3.1:8b")[1] == shown)


@pytest.mark.parametrize(("key", "removed"), [("enter", False), ("r", True)])
async def test_cancel_asks_and_keeps_or_removes_what_came(tmp_path: Path, key: str, removed: bool) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        await pilot.press("x")
        await until(pilot, lambda: "2.1 GB of it are here already" in screen_text(app))
        await pilot.press("escape", "x", key)
        await until(pilot, lambda: engine.queue.canceled)
        assert engine.queue.canceled == [("llama3.1-8b", removed)]
        await until(pilot, lambda: "llama3.1:8b" not in screen_text(app))


async def test_a_pull_is_moved_and_the_cursor_goes_with_it(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "phi4:14b")
        await pilot.press("down", "K")
        await until(pilot, lambda: next(iter(engine.queue.views)) == "phi4-14b")
        await until(pilot, lambda: screen_text(app).index("phi4:14b") < screen_text(app).index("llama3.1:8b"))
        await pilot.press("J", "J")
        await until(pilot, lambda: list(engine.queue.views)[2] == "phi4-14b")


async def test_the_limit_is_set_shown_and_taken_away(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        await pilot.press("l", *"fast")
        await until(pilot, lambda: "A rate is written as 800K or 5M" in screen_text(app))
        await pilot.press("ctrl+u", *"5M/s", "enter")
        await until(pilot, lambda: "limit 5M/s" in screen_text(app))
        assert engine.queue.limits.bandwidth == 5 << 20
        await pilot.press("l", *"0", "enter")
        await until(pilot, lambda: "limit 5M/s" not in screen_text(app))


async def test_a_finished_pull_is_announced_elsewhere_and_the_library_is_read_again(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        await pilot.press("4")
        asked = engine.model_polls
        await engine.queue.finish("llama3.1-8b")
        await until(pilot, lambda: any("llama3.1:8b is in the Library" in notice for notice in notices(app)))
        await until(pilot, lambda: engine.model_polls > asked)
        await engine.queue.fail("phi4-14b", "the line was cut", "Try again.")
        await until(pilot, lambda: any("phi4:14b: the line was cut\nTry again." in notice for notice in notices(app)))
        await pilot.press("escape", "2")
        await until(pilot, lambda: row(app, "llama3.1:8b")[1:3] == ["done", "100%"])
        await pilot.press("enter")
        await until(pilot, lambda: app.pane == "chat")
        await pilot.press("escape", "2", "c")
        await until(pilot, lambda: "llama3.1-8b" not in engine.queue.views)


async def test_what_an_earlier_workstation_left_goes_on_before_anybody_looks(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: len(app.services.pulls.view.value.pulls) == 3)
        assert app.services.pulls.following
        await engine.queue.finish("llama3.1-8b")
        await engine.queue.finish("phi4-14b")
        await until(pilot, lambda: not app.services.pulls.following)


async def test_the_bar_moves_and_never_jumps_back(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=LARGE) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        await engine.queue.advance("llama3.1-8b", 0.75)
        await until(pilot, lambda: "75%" in row(app, "llama3.1:8b"))
        view = engine.queue.views["llama3.1-8b"]
        await engine.queue.change("llama3.1-8b", total=view.total * 3, rate=12 * MB)
        await until(pilot, lambda: "15 GB" in screen_text(app))
        assert "75%" in row(app, "llama3.1:8b")


async def test_what_the_engine_refuses_is_said(tmp_path: Path) -> None:
    engine = three()
    engine.queue.failures["pull_pause"] = Busy("llama3.1:8b is being pulled by another program", hint="Pause it there.")
    engine.queue.failures["limit_transfers"] = NotSupported("the server limits nothing")
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        await pilot.press("space", "l", *"5M", "enter")
        await until(pilot, lambda: len(notices(app)) == 2)
        assert "llama3.1:8b is being pulled by another program\nPause it there." in notices(app)


async def test_names_and_errors_are_shown_not_obeyed(tmp_path: Path) -> None:
    engine = DemoEngine(pulls=[failed_pull("evil[/b]\x1b[31m:1b", "no [bold]such\x9b0m thing", "")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "evil[/b]␛[31m")
        assert "no [bold]such\\x9b0m thing" in screen_text(app)


async def test_disk_that_will_not_do_is_said_before_it_is_full(tmp_path: Path) -> None:
    engine = three()
    engine.queue.limits = type(engine.queue.limits)(0, 3_000 * MB)
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "7.8 GB to come · 3.0 GB free: too little")


async def test_the_command_line_pulls_and_limits_from_another_pane(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "bard:latest" in screen_text(app))
        await pilot.press("colon", *"pull qwen3:4b", "enter")
        await until(pilot, lambda: app.pane == "pulls" and row(app, "qwen3:4b")[1] == "pulling")
        await pilot.press("colon", *"limit 800K", "enter")
        await until(pilot, lambda: "limit 800K/s" in screen_text(app))


async def test_a_full_disk_stops_a_pull_and_it_is_tried_again(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        why, way = "not enough disk space: 9 GB needed, 2 GB free", "Free disk space (remove models, prune)."
        await engine.queue.change("llama3.1-8b", state="paused", error=why, hint=way)
        await until(pilot, lambda: row(app, "llama3.1:8b")[1] == "stopped")
        assert why in screen_text(app)
        assert way in screen_text(app)
        await until(pilot, lambda: any(why in notice for notice in notices(app)))
        await pilot.press("r")
        await until(pilot, lambda: engine.queue.views["llama3.1-8b"].state == "running")


@pytest.mark.parametrize(("frames", "seconds"), [(60, 0.5), (20, 1.0)])
def test_bars_are_painted_less_often_over_ssh(monkeypatch: pytest.MonkeyPatch, frames: int, seconds: float) -> None:
    monkeypatch.setattr("textual.constants.MAX_FPS", frames)
    assert painting_interval() == seconds


async def test_what_only_moves_is_not_painted_at_every_step(tmp_path: Path) -> None:
    engine = three()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_pulls(pilot, "llama3.1:8b")
        pane = app.screen.query_one(PullsPane)
        drawn = 0
        draw = pane.details_lines.show

        def counted(lines: Sequence[Content]) -> None:
            nonlocal drawn
            drawn += 1
            draw(lines)

        pane.details_lines.show = counted
        for step in range(50):
            await engine.queue.advance("llama3.1-8b", 0.5 + step / 100)
            app.services.pulls.take(list(engine.queue.views.values()))
            await pilot.pause()
        await until(pilot, lambda: "99%" in row(app, "llama3.1:8b"))
        assert 0 < drawn < 25
