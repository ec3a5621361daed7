"""The command line: names from the table of actions, completed, remembered, done in the pane they belong to."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from ollama_tui import commands
from ollama_tui.app import Workstation
from ollama_tui.widgets.command_history import CommandHistory
from ollama_tui.widgets.command_screen import CommandScreen
from ollama_tui.widgets.keys_screen import KeysScreen
from tests.support.workstation import notices, screen_text, until, workstation


def line(app: Workstation) -> str:
    return app.screen.query_one("#command-input", Input).value


@pytest.mark.parametrize(
    ("text", "action", "argument"),
    [
        (":ps", "app.ps", ""),
        ("q", "app.quit", ""),
        (":theme  nord ", "app.theme", "nord"),
        (":pull llama3.2", "pulls.pull", "llama3.2"),
        (":the paper", "app.theme", "paper"),
        (":set keep_alive 10m", "app.set", "keep_alive 10m"),
    ],
)
def test_a_line_is_a_name_and_what_follows(text: str, action: str, argument: str) -> None:
    command = commands.parse(text, ["library"])
    assert (command.action.id, command.argument) == (action, argument)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":pul", r"^:pul may be :pull, :pulls\.$"),
        (":thme nord", r"^No command 'thme'; did you mean :theme\?$"),
        (":xyzzy", r"^No command 'xyzzy'; tab lists all\.$"),
        (":ps now", r"^:ps takes nothing after it\.$"),
    ],
)
def test_what_is_no_command_says_what_is_near(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        commands.parse(text, [])


async def test_a_command_of_another_pane_opens_it_first(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("colon", *"pull llama3.2", "enter")
        await until(pilot, lambda: app.pane == "pulls")
        await until(pilot, lambda: "llama3.2" in screen_text(app))


async def test_tab_completes_names_and_what_may_follow(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("colon", *"the")
        await until(pilot, lambda: isinstance(app.screen, CommandScreen) and line(app) == "the")
        await pilot.press("tab")
        await until(pilot, lambda: line(app) == "theme ")
        await pilot.press(*"pap", "tab", "enter")
        await until(pilot, lambda: app.theme == "paper")
        await pilot.press("colon", *"set ss", "tab", "space", "tab", "tab")
        await until(pilot, lambda: line(app) == "set ssh on")
        await pilot.press("shift+tab")
        await until(pilot, lambda: line(app) == "set ssh auto")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, CommandScreen))


async def test_an_unknown_name_keeps_the_line_and_says_so(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("colon", *"hepl", "enter")
        await until(pilot, lambda: "did you mean :help?" in screen_text(app))
        await pilot.press("backspace", "backspace", *"lp", "enter")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))


async def test_history_is_leafed_through_and_outlives_the_workstation(tmp_path: Path) -> None:
    history = CommandHistory(tmp_path / "state" / "commands.txt")
    for one in ("ps", "theme paper", "ps", "theme ink"):
        history.add(one)
    assert CommandHistory(tmp_path / "state" / "commands.txt").lines == ["theme paper", "ps", "theme ink"]
    app = workstation(tmp_path)
    app.commanding._history = history
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("colon", *"the", "up")
        await until(pilot, lambda: isinstance(app.screen, CommandScreen) and line(app) == "theme ink")
        await pilot.press("up", "up")
        await until(pilot, lambda: line(app) == "theme paper")
        await pilot.press("down", "down")
        await until(pilot, lambda: line(app) == "the")


async def test_a_theme_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("colon", *"theme papr", "enter")
        await until(pilot, lambda: notices(app))
        assert "paper" in notices(app)[0]


async def test_chat_with_a_model_by_name(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("colon", *"run qwen2.5-coder:7b", "enter")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model == "qwen2.5-coder:7b")
        assert app.pane == "chat"
