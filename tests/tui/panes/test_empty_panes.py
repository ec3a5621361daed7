"""Pulls says how to get a model; Bench says honestly what will be here and which command does it meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.support.workstation import screen_text, until, workstation


async def test_pulls_says_how_to_get_a_model(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "ollama-tui pull llama3.1:8b" in screen_text(app))
        assert "Nothing is on its way" in screen_text(app)
        assert ":pull llama3.1:8b" in screen_text(app)


async def test_bench_names_the_command_that_measures_meanwhile(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "ollama-tui run bard --verbose" in screen_text(app))
        assert "does not measure yet" in screen_text(app)
