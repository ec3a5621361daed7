"""Pulls says how to get a model."""

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
