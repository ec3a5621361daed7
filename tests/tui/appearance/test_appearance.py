"""The theme in use: tried while one looks for it, chosen, kept; a user's own is read again when it is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ollama_engine.errors import StoreError
from ollama_engine.settings import Settings
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until
from tests.tui.appearance.test_themes import GOOD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "themes"
    folder.mkdir()
    return folder


def opened(
    tmp_path: Path, settings: Settings | None = None, remember: Callable[[str, str], None] | None = None
) -> Workstation:
    return Workstation(
        DemoEngine(),
        replace(settings or Settings(), tour=False),
        chats=ChatStore(tmp_path / "chats.db"),
        host_label="demo",
        theme_folders=[tmp_path / "themes"],
        remember=remember,
        machine_memory=lambda: 0,
    )


async def test_one_bad_file_is_one_notification_and_good_ones_can_be_used(tmp_path: Path, folder: Path) -> None:
    (folder / "good.toml").write_text(GOOD)
    (folder / "bad.toml").write_text("name = 1")
    app = opened(tmp_path, Settings(theme="mine"))
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        assert len(notices(app)) == 1
        assert "bad.toml, line 1: 'name' must be a word" in notices(app)[0]
        assert app.theme == "mine"
        await app.appearance.look_again()
        assert len(notices(app)) == 1


async def test_a_theme_that_is_not_there_is_told_and_the_default_used(tmp_path: Path, folder: Path) -> None:
    app = opened(tmp_path, Settings(theme="nrod"))
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        assert "There is no theme 'nrod'. There are: ansi, " in notices(app)[0]
        assert app.theme == "ink"


async def test_the_palette_tries_themes_and_keeps_the_one_that_is_taken(tmp_path: Path, folder: Path) -> None:
    kept: list[tuple[str, str]] = []
    app = opened(tmp_path, remember=lambda *setting: kept.append(setting))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("f8")
        await until(pilot, lambda: "gruvbox" in screen_text(app))
        await pilot.press("down")
        await until(pilot, lambda: app.theme == "ansi")
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == "ink")
        assert kept == []
        await pilot.press("ctrl+p", *"theme: pap")
        await until(pilot, lambda: app.theme == "paper")
        await pilot.press("enter")
        await until(pilot, lambda: kept)
        assert kept == [("theme", "paper")]
        assert app.theme == "paper"


async def test_a_choice_that_cannot_be_kept_is_told(tmp_path: Path, folder: Path) -> None:
    def fail(name: str, value: str) -> None:
        raise StoreError("the disk is full", hint="")

    app = opened(tmp_path, remember=fail)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await app.run_action("app.theme('nord')")
        await until(pilot, lambda: notices(app))
        assert "cannot be kept: the disk is full" in notices(app)[0]
        assert app.theme == "nord"


async def test_a_theme_is_seen_as_soon_as_it_is_saved(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollama_tui.appearance.appearance.LOOK_EVERY", 0.05)
    mine = folder / "mine.toml"
    mine.write_text(GOOD)
    app = opened(tmp_path, Settings(theme="mine"))
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        mine.write_text(GOOD.replace('background = "#000000"', 'background = "#123456"'))
        await until(pilot, lambda: app.screen.styles.background.hex == "#123456")
        mine.write_text(GOOD.replace("panel", "pannel"))
        await until(pilot, lambda: notices(app))
        assert "mine.toml, line 6: unknown colour 'pannel'" in notices(app)[0]
        assert (app.theme, app.screen.styles.background.hex) == ("mine", "#123456")
        mine.unlink()
        await until(pilot, lambda: app.theme == "ink")
        assert "mine" not in app.appearance.names
