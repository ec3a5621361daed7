"""The Bench pane by keyboard: plan, measure, look at another pane, stop, compare, export."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from textual.widgets import Input, SelectionList

from ollama_engine.bench import History
from ollama_tui.app import Workstation
from ollama_tui.panes.bench.bench import Bench
from ollama_tui.widgets.row_table import RowTable
from tests.support.bench_runs import result, run
from tests.support.demo_engine import DemoEngine, demo_requests, summary
from tests.support.workstation import notices, screen_text, until, workstation


def keep(folder: Path) -> None:
    """A history of two runs, the newer one slower."""
    with History(folder / "bench.db") as history:
        for speeds in ([100, 101, 102], [70, 71, 72]):
            cells = [result(speeds, name, concurrency=n) for name in ("bard:latest", "llama3.1:8b") for n in (1, 4)]
            history.save(run(*cells))


def bench(app: Workstation) -> Bench:
    return app.screen.query_one(Bench)


async def test_a_plan_is_typed_and_measured_while_another_pane_is_looked_at(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.gate = asyncio.Semaphore(10)
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "Nothing is measured yet" in screen_text(app))
        await pilot.press("r")  # nothing is planned: the form comes
        await until(pilot, lambda: app.screen.query("#plan-models"))
        models = app.screen.query_one(SelectionList)
        assert models.selected == ["bard:latest"]
        await pilot.press("down", "space")
        assert models.selected == ["bard:latest", "llama3.1:8b"]
        assert "[x] llama3.1:8b" in screen_text(app)  # what is marked is told without colours
        assert "[ ] qwen2.5-coder:7b" in screen_text(app)
        assert "[ ] the same prompt" in screen_text(app)
        await pilot.press("tab", *"16", "down", *"6", "down", *"1,x")
        await until(pilot, lambda: "at once: 'x' is no whole number" in screen_text(app))
        await pilot.press("enter")
        assert app.screen.query("#plan-models")  # it stays until it can be measured
        await pilot.press("backspace", "2", "down", "3")
        await until(pilot, lambda: "4 measurements, 24 requests" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "▶ 1/4" in screen_text(app))
        await until(pilot, lambda: "bard:latest · 16/6 × 1" in screen_text(app))
        await pilot.press("1")
        for _ in range(1000):
            engine.gate.release()
        await until(pilot, lambda: any("Run 1 is measured" in notice for notice in notices(app)), seconds=20)
        assert app.pane == "library"
        await pilot.press("5")
        await until(pilot, lambda: "run 1" in screen_text(app))
        assert screen_text(app).count("■  bard:latest") == screen_text(app).count("■  llama3.1:8b") == 2
        assert isinstance(app.focused, RowTable)


async def test_stop_keeps_what_there_is_and_the_same_plan_is_measured_again(tmp_path: Path) -> None:
    keep(tmp_path)
    engine = DemoEngine()
    engine.gate = asyncio.Semaphore(0)
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "bard:latest, llama3.1:8b" in screen_text(app))  # as it was planned the last time
        await pilot.press("r")
        await until(pilot, lambda: "making prompts" in screen_text(app) or "warm-up" in screen_text(app))
        await pilot.press("s")
        await until(pilot, lambda: "run 3, stopped before its end" in screen_text(app))
        assert not bench(app).check_action("stop", ())
        assert bench(app).check_action("run", ())


async def test_models_sent_from_elsewhere_are_planned(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("5")
        await until(pilot, lambda: app.screen.query(Bench))
        app.screen.query_one("#bench").post_message(Bench.Wanted("bench", ("qwen2.5-coder:7b",)))
        await until(pilot, lambda: "Plan  qwen2.5-coder:7b" in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: app.screen.query("#plan-models"))
        assert app.screen.query_one(SelectionList).selected == ["qwen2.5-coder:7b"]
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query("#plan-models"))
        assert not app.services.bench.view.value.active


async def test_the_command_line_measures_the_models_it_names(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("colon", *"measure bard", "enter")
        await until(pilot, lambda: app.pane == "bench" and app.services.bench.view.value.run is not None)
        view = app.services.bench.view.value
        assert view.run is not None
        assert view.run.plan.models == ("bard:latest",)


async def test_a_run_of_the_history_is_opened_with_its_plot_and_all_of_a_row(tmp_path: Path) -> None:
    keep(tmp_path)
    app = workstation(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5", "right_square_bracket")
        await until(pilot, lambda: "1 hour ago" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "over requests at once" in screen_text(app) and "■" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: "gen 101 ±0.50  all 404 ±2.00" in screen_text(app))
        assert "bard:latest · 128/65 × 4" in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: "over rounds" in screen_text(app))


async def test_two_marked_runs_are_compared_and_what_is_worse_stands_first(tmp_path: Path) -> None:
    keep(tmp_path)
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("5", "right_square_bracket")
        await until(pilot, lambda: "1 hour ago" in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "Mark two runs, or one and select another." in notices(app))
        await pilot.press("space", "space")
        await until(pilot, lambda: "1 and 2 marked" in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "run 2 against run 1: 16 worse, 4 the same, 2 too few" in screen_text(app))
        first = next(line for line in screen_text(app).splitlines() if "▼ worse" in line)
        assert "-29.7 %" in first
        assert "101 ±0.50 → 71.0 ±0.50" in screen_text(app) or "1010 ±5.00 → 710 ±5.00" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: bench(app).tab == "measure")


async def test_a_run_is_exported_named_and_deleted_by_key(tmp_path: Path) -> None:
    keep(tmp_path)
    target = tmp_path / "run.json"
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("5", "right_square_bracket")
        await until(pilot, lambda: "1 hour ago" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        line = app.screen.query_one("#ask-input", Input)
        line.value = "run.gif"
        await until(pilot, lambda: "It ends with .json" in screen_text(app))
        line.value = str(target)
        await pilot.press("enter")
        await until(pilot, target.exists)
        assert json.loads(target.read_text())["id"] == 2
        await pilot.press("n")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        await pilot.press(*"slow", "enter")
        await until(pilot, lambda: "slow" in screen_text(app))
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "Delete run 2?" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: [one.id for one in app.services.bench.runs.value] == [1])


async def test_what_disturbs_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.running_requests = demo_requests()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "other requests at work" in screen_text(app))
        assert "CUDA0 busy with other work: figures would be off" in screen_text(app)


async def test_names_that_look_like_markup_or_escapes_are_shown_as_they_are(tmp_path: Path) -> None:
    with History(tmp_path / "bench.db") as history:
        history.save(
            run(result([1, 2, 3], "[red]x[/]"), result([], "b", state="failed", failure="[/b] \x1b]0;x"), note="[/i]")
        )
    app = workstation(tmp_path, DemoEngine(models=[summary("[red]x[/]", 1, "1B", "Q4", 1, "completion")]))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("5", "right_square_bracket")
        await until(pilot, lambda: "[/i]" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "run 1 [/i]" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: "[/b] ␛]0;x" in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: app.screen.query("#plan-models"))
        assert "[red]x[/]" in screen_text(app)
        assert "\x1b" not in screen_text(app)
