"""The first run: Chat with bard and a tour of three lines that takes no key from who types, and goes for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import textual
from textual.pilot import Pilot

from ollama_engine.choices import KEYMAPS
from ollama_engine.config_file import set_value
from ollama_engine.errors import ServerUnreachable, StoreError
from ollama_engine.settings import Settings
from ollama_tui.app import Workstation
from tests.support.demo_engine import DemoEngine, demo_models
from tests.support.workstation import notices, screen_text, until, workstation

FOUND = "Found Ollama's store ~/.ollama/models: its 7 models are in the Library."
NEWCOMER = Settings()


async def look_around() -> str:
    return FOUND


def lines(app: Workstation) -> list[str]:
    """The tour as it is on the screen."""
    if not app.tour.display:
        return []
    region = app.tour.region
    return [line[2:].rstrip() for line in screen_text(app).splitlines()[region.y : region.bottom]]


class Kept:
    """What was remembered."""

    def __init__(self, error: StoreError | None = None) -> None:
        self.values: list[tuple[str, str]] = []
        self.error = error

    def __call__(self, setting: str, value: str) -> None:
        self.values.append((setting, value))
        if self.error is not None:
            raise self.error


async def test_a_newcomer_types_at_once_and_is_answered_by_bard(tmp_path: Path) -> None:
    kept, engine = Kept(), DemoEngine(answer="Good morrow!")
    app = workstation(tmp_path, engine, settings=NEWCOMER, remember=kept)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"quit? 1")
        await until(pilot, lambda: len(lines(app)) == 3)
        assert "bard:latest" in screen_text(app)
        assert "quit? 1" in screen_text(app)
        assert app.focused is app.screen.query_one("#prompt")
        assert kept.values == []
        await pilot.press("enter")
        await until(pilot, lambda: "Good morrow!" in screen_text(app))
        assert engine.asked[0].model == "bard:latest"
        await until(pilot, lambda: kept.values == [("tour", "false")])
        assert len(lines(app)) == 3, "it may still be read"
        await pilot.press("f6")
        await until(pilot, lambda: lines(app) == [])
    assert kept.values == [("tour", "false")]


@pytest.mark.parametrize("preset", KEYMAPS)
async def test_the_lines_name_the_keys_that_are_in_force_and_fit_80_columns(tmp_path: Path, preset: str) -> None:
    app = workstation(tmp_path, settings=Settings(keymap=preset))
    async with app.run_test(size=(80, 24)) as pilot:
        for pane in ("chat", "library"):
            await app.action_pane(pane)
            await until(pilot, lambda: len(lines(app)) == 3)
            words = " ".join(lines(app)).replace("(", " ").replace(")", " ").split()
            wanted = ["app.help", "app.quit", "app.command", "app.tour_end", "app.library", "app.bench"]
            wanted += ["chat.send", "chat.model", "chat.new", "chat.leave"] if pane == "chat" else ["library.chat"]
            for action in wanted:
                name = app.keymap.name(action)
                assert name, action
                assert name in words, action


async def test_other_keys_are_named_once_they_are_in_force(tmp_path: Path) -> None:
    app = workstation(tmp_path, settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "^n begins" in " ".join(lines(app))
        await pilot.press("escape", "colon", *"keymap emacs", "enter")
        await until(pilot, lambda: "alt+n begins" in " ".join(lines(app)))


async def test_its_key_hides_it_for_good_and_the_command_shows_it_again(tmp_path: Path) -> None:
    kept = Kept()
    app = workstation(tmp_path, settings=NEWCOMER, remember=kept, look_around=look_around)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: FOUND in lines(app))
        assert len(lines(app)) == 4
        await pilot.press("f6")
        await until(pilot, lambda: kept.values == [("tour", "false")])
        assert lines(app) == []
        await pilot.press("escape", "colon", *"tour", "enter")
        await until(pilot, lambda: len(lines(app)) == 4)
        await pilot.press("f6")
        await until(pilot, lambda: lines(app) == [])
    assert kept.values == [("tour", "false")]


async def test_a_pane_that_is_zoomed_is_alone(tmp_path: Path) -> None:
    app = workstation(tmp_path, settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape", "plus", "plus")
        await until(pilot, lambda: "change panes" not in screen_text(app))
        await pilot.press("underscore", "underscore")
        await until(pilot, lambda: len(lines(app)) == 3)


async def test_what_cannot_be_kept_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    file = tmp_path / "file" / "config.toml"
    app = workstation(tmp_path, settings=NEWCOMER, remember=lambda setting, value: set_value(file, setting, value, {}))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: notices(app))
        assert notices(app)[0].startswith("The tour will be there again the next time")
        assert lines(app) == []
        await pilot.press(*"still here")
        await until(pilot, lambda: "still here" in screen_text(app))


async def test_where_bard_is_not_the_tour_is_over_the_library(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(models=demo_models()[1:]), settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.pane == "library" and "qwen2.5-coder:7b" in screen_text(app))
        assert "chats with it" in lines(app)[0]
        await pilot.press("4")
        await until(pilot, lambda: "─llama3.1:8b" in screen_text(app))


async def test_who_types_already_stays_in_chat_with_a_model_that_is_there(tmp_path: Path) -> None:
    held = asyncio.Event()
    engine = DemoEngine(models=demo_models()[1:])

    async def slow() -> tuple[DemoEngine, str]:
        await held.wait()
        return engine, "demo"

    app = workstation(tmp_path, slow, settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"well")
        held.set()
        await until(pilot, lambda: "─llama3.1:8b" in screen_text(app))
        assert app.pane == "chat"
        assert "well" in screen_text(app)


async def test_where_no_server_answers_the_library_says_so(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["models"] = ServerUnreachable("no server at demo")
    app = workstation(tmp_path, engine, settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "no server at demo" in screen_text(app))
        assert app.pane == "library"
        assert len(lines(app)) == 3


async def test_a_model_that_was_asked_for_is_opened_without_a_tour(tmp_path: Path) -> None:
    kept = Kept()
    app = workstation(tmp_path, settings=NEWCOMER, remember=kept, model="llama3.1:8b")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "─llama3.1:8b" in screen_text(app))
        assert app.pane == "chat"
        assert lines(app) == []
    assert kept.values == []


async def test_the_first_conversation_goes_on_while_a_new_one_is_shown(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.gate = asyncio.Semaphore(0)
    app = workstation(tmp_path, engine, settings=NEWCOMER)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*"hail", "enter")
        await until(pilot, lambda: app.services.chats.marks.value.busy)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "A new conversation" in screen_text(app))
        for _ in range(200):
            engine.gate.release()
        await until(pilot, lambda: app.services.chats.marks.value.answered == "hail")


@pytest.mark.skipif(textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8")
@pytest.mark.parametrize("theme", ["ink", "paper", "contrast"])
@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
def test_the_first_run(snap_compare: Callable[..., bool], tmp_path: Path, size: tuple[int, int], theme: str) -> None:
    app = workstation(tmp_path, settings=Settings(theme=theme), look_around=look_around)

    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: FOUND in lines(app) and "fits this machine" in screen_text(app))
        await pilot.pause(0.2)

    assert snap_compare(app, terminal_size=size, run_before=drive)
