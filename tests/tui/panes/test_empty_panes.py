"""Pulls and Bench say honestly what will be here and which command does it meanwhile."""

from __future__ import annotations

from pathlib import Path

from tests.support.workstation import screen_text, until, workstation


async def test_pulls_names_the_commands_that_get_a_model_meanwhile(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("2")
        await until(pilot, lambda: "ollama-tui pull llama3.1:8b" in screen_text(app))
        assert "queue of downloads comes here" in screen_text(app)
        assert "ollama-tui create NAME -f Modelfile" in screen_text(app)


async def test_bench_names_the_command_that_measures_meanwhile(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "ollama-tui run bard --verbose" in screen_text(app))
        assert "does not measure yet" in screen_text(app)
