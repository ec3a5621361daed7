"""Library: real models as rows, a filter, details, the toy named as one, a way to chat."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual.color import Color
from textual.widgets import Input

from ollama_engine.errors import StoreError
from ollama_tui.app import Workstation
from ollama_tui.widgets.row_table import RowTable
from tests.support.demo_engine import DemoEngine, demo_models, demo_running, summary
from tests.support.workstation import notices, screen_text, until, workstation


async def test_models_are_listed_with_what_matters_at_80_columns(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "CPU" in screen_text(app))
        row = next(line for line in screen_text(app).splitlines() if "llama3.1:8b " in line)
        assert row.split() == ["llama3.1:8b", "4.9", "GB", "8.0B", "Q4_K_M", "128k", "CPU", "1", "d"]


async def test_what_was_listed_the_last_time_is_shown_in_grey_until_the_engine_answers(tmp_path: Path) -> None:
    state, engine, held = tmp_path / "state", DemoEngine(), asyncio.Event()
    async with workstation(tmp_path, engine, state_folder=state).run_test(size=(80, 24)) as pilot:
        await until(pilot, (state / "models.json").exists)
    engine.stored = [summary("brand-new:1b", 1_000_000_000, "1B", "Q4_K_M", 4096), *demo_models()[1:]]

    async def late() -> tuple[DemoEngine, str]:
        await held.wait()
        return engine, "demo"

    app = workstation(tmp_path, late, state_folder=state)
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.screen.query_one("#models", RowTable)
        await until(pilot, lambda: table.row_count == len(demo_models()))
        await until(pilot, lambda: "llama3.1:8b" in screen_text(app))
        assert "reading the store" in screen_text(app)
        muted = Color.parse(app.theme_variables["muted"])
        await until(pilot, lambda: ink(app, "llama3.1:8b") == muted)
        await pilot.press("down")
        assert table.selected == "llama3.1:8b"
        held.set()
        await until(pilot, lambda: "brand-new:1b" in screen_text(app))
        assert "bard:latest" not in screen_text(app)
        assert table.selected == "llama3.1:8b"
        await until(pilot, lambda: ink(app, "qwen2.5-coder:7b") != muted)


def ink(app: Workstation, word: str) -> Color | None:
    """The colour that a word on the screen is written in."""
    for strip in app.screen._compositor.render_strips():
        for text, style, _ in strip:
            if word in text and style is not None and style.color is not None:
                return Color.from_rich_color(style.color)
    return None


async def test_loaded_models_are_marked(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running("qwen2.5-coder:7b", "idle")]))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "●   qwen2.5-coder:7b" in screen_text(app))
        assert "●   llama3.1:8b" not in screen_text(app)


async def test_the_toy_is_called_a_toy_and_a_real_model_is_offered_beside_it(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(models=demo_models()[:1]))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "ollama-tui pull llama3.1:8b" in screen_text(app))
        assert "a toy that babbles in Shakespeare's manner" in screen_text(app)
        assert "fits this machine (16 GB)" in screen_text(app)


async def test_slash_filters_and_escape_shows_all_again(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "nomic-embed-text" in screen_text(app))
        await pilot.press("slash", *"coder")
        await until(pilot, lambda: "nomic-embed-text" not in screen_text(app))
        assert "qwen2.5-coder:7b" in screen_text(app)
        await pilot.press("enter")
        assert isinstance(app.focused, RowTable)
        await pilot.press("escape")
        await until(pilot, lambda: "nomic-embed-text" in screen_text(app))
        assert not app.screen.query_one("#library-filter", Input).display


async def test_details_open_by_key_at_80_columns_and_stand_beside_at_120(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "llama3.1:8b" in screen_text(app))
        assert "architecture" not in screen_text(app)
        await pilot.press("i")
        await until(pilot, lambda: "architecture  llama" in screen_text(app))
        await pilot.press("i")
        await until(pilot, lambda: "architecture" not in screen_text(app))
    app = workstation(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "architecture  llama" in screen_text(app))
        await pilot.press("down", "down")
        await until(pilot, lambda: "architecture  qwen2" in screen_text(app))


async def test_refresh_shows_new_models_and_keeps_the_cursor(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "nomic" in screen_text(app))
        await pilot.press("down")
        engine.stored.insert(0, summary("new:1b", 1_000_000_000, "1B", "Q4_0", 2048, "completion"))
        await pilot.press("r")
        await until(pilot, lambda: "new:1b" in screen_text(app))
        assert app.screen.query_one("#models", RowTable).selected == "llama3.1:8b"


async def test_enter_chats_with_the_selected_model(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "nomic" in screen_text(app))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: app.pane == "chat")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model == "qwen2.5-coder:7b")


async def test_an_unreadable_store_is_a_notification_with_its_hint_and_a_line(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["models"] = StoreError("cannot read /models", hint="Check its permissions.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        assert notices(app) == ["cannot read /models\nCheck its permissions."]
        assert "cannot read /models. Press r to try again." in screen_text(app)


async def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(models=[]))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "ollama-tui create NAME -f Modelfile" in screen_text(app))


async def test_names_that_look_like_markup_or_escapes_are_shown_as_they_are(tmp_path: Path) -> None:
    models = [summary("[red]x[/]:1b", 1, "1B", "Q4", 1, "completion"), summary("a\x1b]0;b", 1, "", "", 1)]
    app = workstation(tmp_path, DemoEngine(models=models))
    async with app.run_test(size=(120, 24)) as pilot:
        await until(pilot, lambda: "[red]x[/]:1b" in screen_text(app))
        assert "a␛]0;b" in screen_text(app)
        assert "\x1b" not in screen_text(app)


async def test_brackets_go_from_tab_to_tab_and_the_keys_follow(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "llama3.1:8b" in screen_text(app))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "qwen2.5-coder" not in screen_text(app))
        assert "Discover" in screen_text(app)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "qwen2.5-coder:7b" in screen_text(app))
        assert isinstance(app.focused, RowTable)
