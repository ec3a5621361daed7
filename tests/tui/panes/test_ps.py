"""PS: the models in memory, refreshed while it is looked at; unload by key."""

from __future__ import annotations

from pathlib import Path

from ollama_engine.errors import RunnerDied
from tests.support.demo_engine import DemoEngine, demo_running
from tests.support.workstation import notices, screen_text, until, workstation


async def test_a_model_in_memory_shows_its_memory_state_and_time_to_unload(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running()]))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "busy +1" in screen_text(app))
        row = next(line for line in screen_text(app).splitlines() if "busy" in line)
        assert row.split()[3:] == ["812", "MB", "6.3", "GB", "8k", "×4", "87.4", "4:31"]
        assert "KV cache" in screen_text(app)


async def test_loading_shows_how_far_it_is_and_rows_come_and_go(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running(state="loading")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(160, 24)) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "loading 40%" in screen_text(app))
        engine.in_memory = [demo_running("bard:latest", "idle")]
        await pilot.press("r")
        await until(pilot, lambda: "bard:latest" in screen_text(app))
        assert "llama3.1:8b" not in screen_text(app)


async def test_u_unloads_the_selected_model_and_says_so(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle"), demo_running()])
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "87.4" in screen_text(app))
        await pilot.press("down", "u")
        await until(pilot, lambda: notices(app))
        assert [one.name for one in engine.in_memory] == ["bard:latest"]
        assert notices(app)[0].startswith("llama3.1:8b leaves memory")


async def test_an_error_of_the_engine_is_a_notification_once(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    engine.failures["running"] = RunnerDied("the runner is gone", hint="Look at the log.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: notices(app))
        polls = engine.polls
        await pilot.press("r")
        await until(pilot, lambda: engine.polls > polls)
        assert notices(app) == ["the runner is gone\nLook at the log."]
        assert "the runner is gone. Trying again." in screen_text(app)


async def test_nothing_in_memory_says_how_a_model_gets_there(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "No model is in memory." in screen_text(app))


async def test_nobody_looking_means_nobody_asks(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("3")
        await until(pilot, lambda: engine.polls > 0)
        await pilot.press("5")
        await until(pilot, lambda: app.pane == "bench")
        assert not app.services.residency.wanted
