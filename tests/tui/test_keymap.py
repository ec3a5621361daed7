"""Keymaps: presets and a file change which key does what, everywhere at once, and mistakes are told once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ollama_engine.choices import KEYMAPS
from ollama_engine.settings import Settings
from ollama_tui import actions, keymap_files
from ollama_tui.actions.keymap import clashes, default_keys
from ollama_tui.actions.keys import key_name, parse_key
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.settings_file import open_settings
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.keys_screen import KeysScreen
from tests.support.demo_engine import DemoEngine
from tests.support.keys_page import PAGE, page
from tests.support.workstation import notices, screen_text, until


def app_with(folder: Path, keymap: str = "", *, preset: str = "default") -> Workstation:
    """A workstation whose config folder is `folder`, with this keymap.toml."""
    if keymap:
        (folder / keymap_files.FILE).write_text(keymap, encoding="utf-8")
    return Workstation(
        DemoEngine(),
        replace(Settings(tour=False), keymap=preset),
        chats=ChatStore(folder / "chats.db"),
        host_label="demo",
        settings_service=open_settings(folder / "config.toml", {}),
        machine_memory=lambda: 0,
    )


@pytest.mark.parametrize(
    ("text", "key", "shown"),
    [
        ("?", "question_mark", "?"),
        ("^x", "ctrl+x", "^x"),
        ("Shift+Ctrl+F5", "ctrl+shift+f5", "ctrl+shift+f5"),
        ("esc", "escape", "esc"),
        ("G", "G", "G"),
        ("space", "space", "space"),
        ("+", "plus", "+"),
        ("alt+-", "alt+minus", "alt+-"),
        ("pgup", "pageup", "pgup"),
        ("[", "left_square_bracket", "["),
    ],
)
def test_keys_are_written_as_people_write_them(text: str, key: str, shown: str) -> None:
    assert parse_key(text) == key
    assert key_name(key) == shown
    assert parse_key(shown) == key


@pytest.mark.parametrize("text", ["", "cntrl+x", "nokey", "ctrl+"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no key"):
        parse_key(text)


@pytest.mark.parametrize("preset", KEYMAPS)
def test_a_preset_has_no_mistake_and_no_clash(preset: str) -> None:
    assert keymap_files.load(preset, None).problems == ()


def test_the_keys_of_the_table_do_not_hide_each_other() -> None:
    """Those that share a key on purpose are told apart by where the focus is, or by `check_action`."""
    apart = [replace(action, keys="") for action in actions.ACTIONS]
    found = clashes(apart, {action.id: default_keys(action) for action in actions.ACTIONS})
    shared = {line.split("'")[1] for line in found}
    assert shared <= {"esc", "enter", "pgup", "pgdn", "tab", "shift+tab", "^c", "up", "down"}, found


async def test_a_file_moves_keys_and_all_that_shows_them_follows(tmp_path: Path) -> None:
    app = app_with(tmp_path, 'library.refresh = ["f7", "R"]\n"app.quit" = []\nchat.stop = "ctrl+x"\n')
    async with app.run_test(size=(100, 80), notifications=True) as pilot:
        line = app.screen.query_one(KeyLine)
        await until(pilot, lambda: ("f7", "refresh") in line.keys)
        assert all(key != "q" for key, _ in line.keys)
        await pilot.press("q", "question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))
        text = screen_text(app)
        assert "f7 R" in text
        assert notices(app) == []
        await pilot.press("escape", "4")
        await until(pilot, lambda: app.pane == "chat" and app.focused)
        await pilot.press("escape", "2")  # chat.leave kept its escape when chat.stop gave it up
        await until(pilot, lambda: app.pane == "pulls")


async def test_letters_are_typed_where_they_can_be(tmp_path: Path) -> None:
    app = app_with(tmp_path, 'app.ps = ["m", "f3"]\napp.palette = ["m"]\n')
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("4", "m")
        assert app.screen.query_one("#prompt").text == "m"  # pyright: ignore[reportAttributeAccessIssue]
        assert all(label != "PS" for _, label in app.screen.query_one(KeyLine).keys)
        await pilot.press("escape", "m")
        await until(pilot, lambda: app.pane == "ps")
        assert "'m' is a letter that one types" in notices(app)[0]


async def test_mistakes_are_one_notification(tmp_path: Path) -> None:
    app = app_with(
        tmp_path, 'library.refesh = "x"\nlibrary.filter = "cntrl+f"\nps.pin = "f7"\nps.keep = "f7"\nchat.new = 3\n'
    )
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        await pilot.press("r", "3", "1")
        [notice] = notices(app)
    assert notice.splitlines() == [
        "keymap.toml: no action 'library.refesh'; did you mean 'library.refresh'?",
        "keymap.toml: 'library.filter': there is no key 'cntrl+f'.",
        "keymap.toml: 'chat.new': its keys are a text or a list of texts.",
        "'f7' clashes: it does ps.keep and ps.pin.",
    ]


async def test_a_file_that_is_no_toml_leaves_the_preset(tmp_path: Path) -> None:
    app = app_with(tmp_path, "this is not toml", preset="vim")
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        assert "keymap.toml is left out" in notices(app)[0]
        await until(pilot, lambda: app.services.library.view.value.known)
        table = app.screen.query_one("#models")
        await pilot.press("j", "j", "k")
        assert table.cursor_row == 1  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("G")
        assert table.cursor_row == table.row_count - 1  # pyright: ignore[reportAttributeAccessIssue]


async def test_keymaps_change_while_one_works(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("j")
        assert app.screen.query_one("#models").cursor_row == 0  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("colon", *"keymap vim", "enter")
        await until(pilot, lambda: app.keymap.name("list.down") == "down" and "j" in app.keymap.keys["list.down"])
        await pilot.press("j")
        assert app.screen.query_one("#models").cursor_row == 1  # pyright: ignore[reportAttributeAccessIssue]


async def test_a_keymap_that_is_not_there_changes_no_key_and_none_is_the_same_again(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("colon", *"keymap vim", "enter")
        await until(pilot, lambda: "j" in app.keymap.keys["list.down"])
        await pilot.press("colon", *"keymap vmi", "enter")
        await until(pilot, lambda: notices(app) == ["There is no keymap 'vmi'. There are: " + ", ".join(KEYMAPS) + "."])
        (tmp_path / keymap_files.FILE).write_text('app.quit = "Q"\n', encoding="utf-8")
        await pilot.press("colon", *"keymap", "enter")
        await until(pilot, lambda: app.keymap.name("app.quit") == "Q")
        assert "j" in app.keymap.keys["list.down"]


def test_emacs_leaves_everything_by_ctrl_g() -> None:
    keymap = keymap_files.load("emacs", None)
    left = [action for action in actions.ACTIONS if "escape" in default_keys(action)]
    assert [action.id for action in left if "ctrl+g" not in keymap.of(action)] == []


async def test_emacs_moves_in_the_prompt_as_emacs_does(tmp_path: Path) -> None:
    app = app_with(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("colon", *"keymap emacs", "enter")
        await until(pilot, lambda: app.keymap.name("app.palette") == "alt+x")
        await pilot.press("4", *"ab", "ctrl+j", *"de", "ctrl+a", "c", "ctrl+p", "ctrl+e", "x", "ctrl+n", "ctrl+e", "f")
        await until(pilot, lambda: app.screen.query_one("#prompt").text == "abx\ncdef")  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("ctrl+g", "2")
        await until(pilot, lambda: app.pane == "pulls")


def test_the_page_of_the_docs_has_every_action_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.support.keys_page"
