"""Screens over the panes by their keys: as the keymap has them, told by `?`, and all they ask for done by keyboard."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from ollama_engine.bench import Plan
from ollama_engine.settings import default_config_file
from ollama_tui import actions, keymap_files
from ollama_tui.actions.keymap import default_keys, make
from ollama_tui.app import Workstation
from ollama_tui.panes.bench.plan_screen import PlanScreen
from ollama_tui.panes.chat.settings_screen import SettingsScreen
from ollama_tui.panes.chat.text_screen import TextScreen
from ollama_tui.services.chat_session import ChatView
from ollama_tui.widgets.choose_screen import ChooseScreen
from ollama_tui.widgets.keys_screen import KeysScreen
from tests.support.workstation import screen_text, until, workstation


def workstation_with(folder: Path, keymap: str) -> Workstation:
    """A workstation on this keymap.toml."""
    file = default_config_file().parent / keymap_files.FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(keymap, encoding="utf-8")
    return workstation(folder)


async def open_chat_settings(app: Workstation, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: app.focused and app.services.library.view.value.known)
    await pilot.press("4", "ctrl+s")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen))


def chat(app: Workstation) -> ChatView:
    return app.services.chats.shown.value.view.value


def planned(app: Workstation) -> Plan:
    """What is being measured."""
    run = app.services.bench.view.value.run
    assert run is not None
    return run.plan


async def test_settings_of_a_conversation_are_found_changed_and_reset(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await open_chat_settings(app, pilot)
        await pilot.press("slash", *"top_k", "enter", "enter")
        await until(pilot, lambda: "top_k" in screen_text(app) and not isinstance(app.screen, SettingsScreen))
        await pilot.press("1", "2", "enter")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: chat(app).settings.options == {"top_k": 12})
        await open_chat_settings(app, pilot)
        await pilot.press("slash", *"top_k", "enter", "delete", "escape", "q")
        await until(pilot, lambda: chat(app).settings.options == {})


async def test_a_system_prompt_is_written_over_several_lines_or_left(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await open_chat_settings(app, pilot)
        for keys in ((*"thou", "enter", *"art", "ctrl+s"), (*" not", "escape")):
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TextScreen) and app.focused)
            await pilot.press(*keys)
            await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: chat(app).settings.system == "thou\nart")


async def test_a_keymap_moves_the_keys_of_dialogs_and_their_edges_tell(tmp_path: Path) -> None:
    app = workstation_with(
        tmp_path,
        'chat_settings.edit = "f5"\nchat_settings.leave = "f6"\ntext.take = "f5"\ntext.leave = []\n'
        'plan.mark = "m"\nplan.next = ["n", "down"]\n',
    )
    async with app.run_test(notifications=True) as pilot:
        await open_chat_settings(app, pilot)
        await until(pilot, lambda: "f5 changes · del resets · / filters · f6 done" in screen_text(app))
        await pilot.press("escape", "enter", "f5")
        await until(pilot, lambda: isinstance(app.screen, TextScreen))
        await until(pilot, lambda: "f5 takes ─" in screen_text(app))
        await pilot.press(*"thou", "escape", "f5")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("f6")
        await until(pilot, lambda: chat(app).settings.system == "thou")
        await pilot.press("escape", "5", "e")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen))
        await until(pilot, lambda: "m marks models" in screen_text(app))
        await pilot.press("n", "m", "enter")
        await until(pilot, lambda: app.services.bench.view.value.run)
        assert planned(app).models == ("bard:latest", "llama3.1:8b")


async def test_in_a_plan_arrows_go_through_models_and_fields_and_space_marks(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.focused and app.services.library.view.value.known)
        await pilot.press("5", "e")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen))
        await pilot.press("space", "down", "space", "up", "up")
        await until(pilot, lambda: app.focused and app.focused.id == "plan-warm")
        await pilot.press("space", "up")
        await until(pilot, lambda: app.focused and app.focused.id == "plan-options")
        await pilot.press("down", "down")
        await until(pilot, lambda: app.focused and app.focused.id == "plan-models")
        await pilot.press("tab", *"32", "down", *"16", "enter")
        await until(pilot, lambda: app.services.bench.view.value.run)
        plan = planned(app)
        assert (plan.models, plan.prompts, plan.generates, plan.warm) == (("llama3.1:8b",), (32,), (16,), True)


async def test_choices_go_by_the_keys_of_lists(tmp_path: Path) -> None:
    app = workstation_with(tmp_path, 'list.down = ["down", "j"]\nlist.half_down = "d"\nlist.half_up = "u"\n')
    choices = [(str(number), f"choice {number}", "") for number in range(40)]
    taken: list[str | None] = []
    async with app.run_test() as pilot:
        for keys, chosen in (
            (("j", "down", "up", "enter"), "1"),
            (("end", "enter"), "39"),
            (("end", "pageup", "home", "enter"), "0"),
            (("d", "u", "j", "enter"), "1"),
            (("pagedown", "escape"), None),
            (("q",), None),
        ):
            app.push_screen(ChooseScreen("Which?", choices), taken.append)
            await until(pilot, lambda: isinstance(app.screen, ChooseScreen) and app.focused)
            await pilot.press(*keys)
            await until(pilot, lambda: not isinstance(app.screen, ChooseScreen))
            assert taken[-1] == chosen


async def test_question_mark_tells_the_keys_of_a_dialog_alone(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(100, 60)) as pilot:
        await open_chat_settings(app, pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, KeysScreen))
        await until(pilot, lambda: "Keys · Settings" in screen_text(app))
        text = screen_text(app)
        groups = actions.of("chat_settings", "list", "dialog", "screen")
        assert all(action.help in text for action in groups if actions.keys_of(action))
        assert actions.by_id("app.quit").help not in text
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))


def test_keys_that_clash_in_a_dialog_are_told() -> None:
    table = actions.ACTIONS
    assert make(table, ("keymap.toml", {"plan.mark": "f7", "plan.take": "f7"})).problems == (
        "'f7' clashes: it does plan.take and plan.mark.",
    )
    assert make(table, ("keymap.toml", {"chat_settings.reset": "f7", "list.down": "f7"})).problems == (
        "'f7' clashes: it does chat_settings.reset and list.down.",
    )
    assert make(table, ("keymap.toml", {"text.take": "f7", "library.refresh": "f7"})).problems == ()
    assert default_keys(actions.by_id("text.take")) == ("ctrl+s",)
