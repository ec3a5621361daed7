"""The frame: five panes by one key each, help, palette, themes, and an end that loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.containers import Vertical
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets._toast import Toast

from ollama_engine.errors import ServerUnreachable
from ollama_engine.settings import Settings
from ollama_tui import actions, panes
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.panes.bench.plan_screen import PlanScreen
from ollama_tui.panes.chat.picker import Picker
from ollama_tui.panes.chat.settings_screen import SettingsScreen as ChatSettingsScreen
from ollama_tui.panes.chat.text_screen import TextScreen
from ollama_tui.panes.library.editor import ModelfileEditor
from ollama_tui.panes.library.editor_area import ModelfileArea
from ollama_tui.panes.library.leave_screen import LeaveScreen
from ollama_tui.panes.ps.keep_screen import KeepScreen
from ollama_tui.panes.pulls.cancel_screen import CancelScreen
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.choose_screen import Choices, ChooseScreen
from ollama_tui.widgets.command_screen import CommandScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.keys_screen import KeysScreen
from ollama_tui.widgets.pane import Pane
from ollama_tui.widgets.pick_screen import PickScreen
from ollama_tui.widgets.reader import Reader
from ollama_tui.widgets.row_table import RowTable
from ollama_tui.widgets.settings_screen import SettingsScreen
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until, workstation


@pytest.mark.parametrize(("key", "pane"), list(zip("12345", panes.TITLES, strict=True)))
async def test_a_digit_goes_to_its_pane(tmp_path: Path, key: str, pane: str) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press(key)
        await until(pilot, lambda: app.pane == pane)
        assert app.switcher.current == pane


async def test_in_the_prompt_digits_are_text_and_function_keys_change_panes(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("4", "1", "2", "q")
        assert app.pane == "chat"
        assert app.screen.query_one("#prompt").text == "12q"  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("f3")
        await until(pilot, lambda: app.pane == "ps")


async def test_escape_leaves_the_prompt_so_that_digits_change_panes(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("4", "escape", "2")
        await until(pilot, lambda: app.pane == "pulls")


async def test_escape_again_does_not_go_back_into_the_prompt(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("4", "escape", "escape", "plus", "escape", "escape", "2")
        await until(pilot, lambda: app.pane == "pulls")
        assert app.zoom == 0


async def test_a_notification_does_not_hide_a_question_and_is_seen_once(tmp_path: Path) -> None:
    app = workstation(tmp_path)

    def seen(screen: Screen[Any]) -> list[Region]:
        return [toast.region for toast in screen.query(Toast) if toast.region]

    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        frame = app.screen
        app.notify("Three lines of something that has happened meanwhile. " * 3, timeout=600)
        for screen in (
            AskScreen("Name", note="of three words"),
            ConfirmScreen("Delete?", "Frees 1 GB.", verb="deletes"),
        ):
            await until(pilot, lambda: seen(frame))
            app.push_screen(screen)
            await until(pilot, lambda screen=screen: seen(screen) and not seen(frame))
            (box,) = screen.query(Vertical)
            assert not box.region.overlaps(seen(screen)[0])
            await pilot.press("escape")


async def test_the_last_line_offers_only_keys_that_work_here(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        line = app.screen.query_one(KeyLine)
        await until(pilot, lambda: ("r", "refresh") in line.keys)
        assert ("q", "quit") in line.keys
        await pilot.press("4")
        await until(pilot, lambda: ("enter", "send") in line.keys)
        assert ("^q", "quit") in line.keys
        assert ("q", "quit") not in line.keys
        assert ("esc", "stop") not in line.keys


async def test_question_mark_shows_the_keys_of_the_pane_and_closes_again(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(100, 80)) as pilot:
        await pilot.press("3", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))
        await pilot.pause()
        text = screen_text(app)
        assert all(action.help in text for action in actions.of("ps", "app"))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, KeysScreen))


async def test_the_palette_runs_an_action_of_the_pane(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"details")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette))
        await until(pilot, lambda: app.screen.query_one("#library-details").display)


SCREENS = {
    "ask": (AskScreen, KeepScreen),
    "cancel": (CancelScreen,),
    "chat_settings": (ChatSettingsScreen,),
    "choose": (ChooseScreen,),
    "command": (CommandScreen,),
    "confirm": (ConfirmScreen,),
    "dialog": (Dialog,),
    "editor": (ModelfileEditor,),
    "keys": (KeysScreen,),
    "leaving": (LeaveScreen,),
    "list": (RowTable, Reader, Choices),
    "modelfile": (ModelfileArea,),
    "picker": (Picker, PickScreen),
    "plan": (PlanScreen,),
    "settings": (SettingsScreen,),
    "text": (TextScreen,),
}


async def test_every_action_in_the_table_is_a_method(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test():
        for action in actions.ACTIONS:
            owners: list[object] = [app, app.screen]
            if action.group in panes.HOMES:
                await app.action_pane(panes.HOMES[action.group])
                owners.append(await app.screen.query_one(f"#{app.pane}", Pane).turn_to(action.group))
            owners += app.screen.query("#prompt")
            method = f"action_{action.method.removeprefix('app.')}"
            classes = SCREENS.get(action.group)
            if classes is None:
                assert any(hasattr(owner, method) for owner in owners), action.id
            else:
                assert all(hasattr(one, method) for one in classes), action.id


def test_ids_are_unique_and_each_key_means_one_thing_in_a_pane() -> None:
    ids = [action.id for action in actions.ACTIONS]
    assert len(ids) == len(set(ids))
    for pane in {action.group for action in actions.ACTIONS}:
        for editor in (False, True):
            keys = [key for one in actions.of(pane) if one.editor == editor for key in actions.keys_of(one)]
            # escape stops, else leaves: `check_action` tells which.
            assert sorted(key for key in set(keys) if keys.count(key) > 1) in ([], ["escape"])


@pytest.mark.parametrize("keys", [["q"], ["ctrl+q"], ["4", "ctrl+q"], ["question_mark", "ctrl+q"]])
async def test_quit_keys_end_the_app(tmp_path: Path, keys: list[str]) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press(*keys)
        await until(pilot, lambda: not app.is_running or app._exit)
    assert app.return_code == 0


async def test_an_engine_out_of_reach_is_a_state_and_comes_back(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["version"] = ServerUnreachable("no server at demo", hint="Start it with `ollama-tui serve`.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.services.link.state.value.status == "offline")
        await until(pilot, lambda: notices(app) == ["no server at demo\nStart it with `ollama-tui serve`."])
        await until(pilot, lambda: "does not answer" in screen_text(app))
        engine.failures.clear()
        await pilot.press("r")
        await until(pilot, lambda: "llama3.1:8b" in screen_text(app))
        assert "● demo" in screen_text(app)


async def test_neither_the_first_paint_nor_a_key_waits_for_the_engine(tmp_path: Path) -> None:
    async def never() -> tuple[DemoEngine, str]:
        await asyncio.Event().wait()
        return DemoEngine(), ""

    chats = ChatStore(tmp_path / "chats.db")
    app = Workstation(never, Settings(tour=False), chats=chats, host_label="far away", machine_memory=lambda: 0)
    async with app.run_test() as pilot:
        await until(pilot, lambda: "connecting to far away…" in screen_text(app))
        await pilot.press("3")
        await until(pilot, lambda: "asking…" in screen_text(app))
        await pilot.press("4", *"typed meanwhile")
        await until(pilot, lambda: "typed meanwhile" in screen_text(app))
