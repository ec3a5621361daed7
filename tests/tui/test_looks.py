"""How every screen, and the panes that have no test of their own for it, look in three themes at two sizes.

Each is opened once, by keys, and then seen in each theme and size. Look at a snapshot before accepting it:
python -m pytest tests/tui/test_looks.py --snapshot-update
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import textual
from pytest_textual_snapshot import SVGImageExtension, normalize_svg
from syrupy.assertion import SnapshotAssertion
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, TextArea

import ollama_tui
from ollama_engine.types import ModelInfo
from ollama_tui.app import Workstation
from ollama_tui.panes.bench.plan_screen import PlanScreen
from ollama_tui.panes.chat.settings_screen import SettingsScreen as ChatSettingsScreen
from ollama_tui.panes.chat.text_screen import TextScreen
from ollama_tui.panes.library.editor import ModelfileEditor
from ollama_tui.panes.library.leave_screen import LeaveScreen
from ollama_tui.panes.ps.keep_screen import KeepScreen
from ollama_tui.panes.pulls.cancel_screen import CancelScreen
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.choose_screen import ChooseScreen
from ollama_tui.widgets.command_screen import CommandScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.frame_screen import FrameScreen
from ollama_tui.widgets.keys_screen import KeysScreen
from ollama_tui.widgets.pick_screen import PickScreen
from ollama_tui.widgets.settings_screen import SettingsScreen
from tests.support.demo_engine import DemoEngine, demo_requests, demo_running
from tests.support.demo_pulls import demo_pull
from tests.support.workstation import screen_text, talked, until, workstation

SIZES = ((80, 24), (160, 45))
THEMES = ("ink", "paper", "contrast")
MODELFILE = """FROM bard
# What it is told before everything else.
SYSTEM \"\"\"Thou art a poet.
Thou answerest in verse.\"\"\"
PARAMETER temperature 0.8
PARAMETER num_ctx lots
TEMPLATE {{ .System }} {{ .Prompt }}
MESSAGE user Who goes there?
"""


@dataclass(frozen=True)
class Look:
    """What is on the screen once `keys` are pressed, each when the words before it (`"words"`) are to be seen."""

    screen: type[Screen]
    keys: str
    words: str


LOOKS = {
    "library": Look(FrameScreen, "down down", "5 models"),
    "discover": Look(FrameScreen, "right_square_bracket down down", "models as of"),
    "chat": Look(FrameScreen, "4", "42.0 tok/s"),
    "chats": Look(FrameScreen, "4 ctrl+l", "1 conversation"),
    "palette": Look(CommandPalette, "ctrl+p", "Search"),
    "command": Look(CommandScreen, "colon p", ":p"),
    "keys": Look(KeysScreen, "2 question_mark", "Keys · Pulls"),
    "settings": Look(SettingsScreen, "comma down down", "takes"),
    "ask": Look(AskScreen, "o", "Plan memory for"),
    "confirm": Look(ConfirmScreen, "down ctrl+d", "Delete llama3.1:8b?"),
    "choose": Look(ChooseScreen, "z", "Quantize"),
    "pick": Look(PickScreen, "3 l", "Load which model?"),
    "keep": Look(KeepScreen, "3 t 1 x", "Keep llama3.1:8b for"),
    "cancel": Look(CancelScreen, "2 x", "are here already"),
    "editor": Look(ModelfileEditor, "e", "✗ line"),
    "leave": Look(LeaveScreen, "e x escape", "Leave the editor?"),
    "answers": Look(ChatSettingsScreen, "4 ctrl+s down", "Answers of"),
    "text": Look(TextScreen, "4 ctrl+s enter t h o u", "The system prompt"),
    "plan": Look(PlanScreen, "5 e", "measurement"),
}


class Maker(DemoEngine):
    """One whose models were made of a Modelfile with a fault in it."""

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        info = await super().show(name, verbose=verbose)
        info.modelfile = MODELFILE
        return info


async def busy(folder: Path) -> Workstation:
    """A workstation at work, with a conversation to show."""
    await talked(folder)
    engine = Maker(running=[demo_running(), demo_running("bard:latest", "idle")], pulls=[demo_pull("qwen3:8b")])
    engine.running_requests = demo_requests()
    return workstation(folder, engine)


async def open_look(app: Workstation, pilot: Pilot[None], look: Look) -> None:
    await until(pilot, lambda: app.focused and app.services.library.view.value.known)
    await until(pilot, lambda: app.services.link.state.value.version)
    for key in look.keys.split():
        await pilot.press(key)
        await pilot.pause(0.1)
        if app.pane == "ps":
            await until(pilot, lambda: app.services.monitor.view.value.known)
            app.services.monitor.leave()  # one refresh, so that its histories have one value
    await until(pilot, lambda: look.words in screen_text(app))
    for field in app.screen.query("Input, TextArea"):
        assert isinstance(field, Input | TextArea)
        field.cursor_blink = False


async def settled(app: Workstation, pilot: Pilot[None]) -> str:
    """A picture of the screen once it stays as it is."""
    before, now = "", " "
    while normalize_svg(now) != normalize_svg(before):
        await pilot.pause(0.15)
        before, now = now, app.export_screenshot()
    return now


@pytest.mark.skipif(textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8")
@pytest.mark.parametrize("name", LOOKS)
async def test_it_looks_as_before(tmp_path: Path, snapshot: SnapshotAssertion, name: str) -> None:
    look, app = LOOKS[name], await busy(tmp_path)
    pictures = snapshot.use_extension(SVGImageExtension)
    changed: list[str] = []
    async with app.run_test(size=SIZES[0]) as pilot:
        await open_look(app, pilot, look)
        assert type(app.screen) is look.screen
        for size in SIZES:
            await pilot.resize_terminal(*size)
            for theme in THEMES:
                app.theme = theme
                kind = f"{size[0]}x{size[1]}-{theme}"
                if await settled(app, pilot) != pictures(name=kind):
                    changed.append(kind)
    assert changed == []


def every_screen() -> Iterator[type[Screen]]:
    for module in pkgutil.walk_packages(ollama_tui.__path__, "ollama_tui."):
        if module.name.startswith(("ollama_tui.panes", "ollama_tui.widgets")):
            import_module(module.name)
    waiting: list[type[Screen]] = [Screen]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if one.__module__.startswith("ollama_tui.") and one is not Dialog:
            yield one


def test_every_screen_is_looked_at() -> None:
    ours = {look.screen for look in LOOKS.values()} - {CommandPalette}
    assert ours == {one for one in every_screen() if "[" not in one.__name__}
