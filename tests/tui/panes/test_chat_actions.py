"""What Chat does with messages and conversations, by keyboard alone."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ollama_tui.app import Workstation
from ollama_tui.panes.chat.conversation_list import ConversationList
from ollama_tui.panes.chat.pane import ChatPane
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.services.chat_session import ChatView
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until, workstation


def view(app: Workstation) -> ChatView:
    return app.services.chats.shown.value.view.value


def prompt(app: Workstation) -> PromptEditor:
    return app.screen.query_one(PromptEditor)


async def open_chat(app: Workstation, pilot: Pilot[None]) -> None:
    await pilot.press("4")
    await until(pilot, lambda: view(app).model)


async def fork(app: Workstation, pilot: Pilot[None]) -> int:
    """Out of the prompt, and on in a conversation of its own; the number of the one before."""
    before = app.services.chats.shown.value.id
    await pilot.press("escape", "f")
    await until(pilot, lambda: app.services.chats.shown.value.id not in (0, before))
    return before


async def ask(app: Workstation, pilot: Pilot[None], text: str, messages: int) -> None:
    await pilot.press(*text, "enter")
    await until(pilot, lambda: len(view(app).messages) == messages and view(app).reply is None)


async def test_an_answer_again_and_a_prompt_otherwise_are_branches(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await pilot.press("escape", "r")
        await until(pilot, lambda: "‹2/2›" in screen_text(app) and view(app).reply is None)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "‹1/2›" in screen_text(app))
        await pilot.press("e", *"!", "ctrl+s")
        await until(pilot, lambda: [one.branch for one in view(app).messages] == [(2, 2), (1, 1)])
        assert [one.role for one in view(app).messages] == ["user", "assistant"]
        assert "!" in view(app).messages[0].content


async def test_up_in_an_empty_prompt_takes_back_what_waits(tmp_path: Path) -> None:
    engine = DemoEngine(answer="aye")
    engine.gate = asyncio.Semaphore(0)
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        for text in ("one", "two", "three"):
            await pilot.press(*text, "enter")
            await until(pilot, lambda: not prompt(app).text)
        await until(pilot, lambda: "2 prompts wait; up takes the last one back" in screen_text(app))
        await pilot.press("up")
        await until(pilot, lambda: prompt(app).text == "three")
        await until(pilot, lambda: "1 prompt waits; up takes it back" in screen_text(app))
        await pilot.press("up")  # now it brings back what was sent before, as ever
        await until(pilot, lambda: prompt(app).text == "two")
        assert [one.content for one in view(app).queued] == ["two"]


async def test_commands_are_brought_back_like_prompts(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await pilot.press(*"/set parameter top_k 7", "enter")
        await until(pilot, lambda: view(app).settings.options == {"top_k": 7} and not prompt(app).text)
        await ask(app, pilot, "well", 4)
        for text in ("well", "/set parameter top_k 7", "hail", "hail"):
            await pilot.press("up")
            await until(pilot, lambda text=text: prompt(app).text == text)
        await pilot.press("down")
        await until(pilot, lambda: prompt(app).text == "/set parameter top_k 7")


async def test_a_fork_goes_on_in_a_conversation_of_its_own(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await fork(app, pilot)
        assert [one.content for one in view(app).messages] == ["hail", "aye"]
        assert view(app).title == "hail (2)"
        await until(pilot, lambda: any("This is a new conversation" in notice for notice in notices(app)))


async def test_the_list_renames_deletes_and_brings_back(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await pilot.press("escape", "ctrl+l")
        await until(pilot, lambda: "1 conversation" in screen_text(app))
        await pilot.press("r", *"Kings", "enter")
        await until(pilot, lambda: "Kings" in screen_text(app))
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "Delete this conversation?" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Delete this conversation?" not in screen_text(app))
        assert "1 conversation" in screen_text(app)
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "Delete this conversation?" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: any("Deleted: Kings. z brings it back." in notice for notice in notices(app)))
        await until(pilot, lambda: "No conversation" in screen_text(app))
        await pilot.press("z")
        await until(pilot, lambda: "1 conversation" in screen_text(app))
        assert app.services.chats.shown.value.view.value.draft == ""


async def test_the_conversation_at_hand_is_deleted_and_brought_back(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await pilot.press("escape", "ctrl+d")
        await until(pilot, lambda: "Delete this conversation?" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: not view(app).messages)
        await until(pilot, lambda: any("z brings it back" in notice for notice in notices(app)))
        await pilot.press("z")
        await until(pilot, lambda: [one.content for one in view(app).messages] == ["hail", "aye"])
        await pilot.press("enter")  # to the prompt: what deletes is out of reach of its keys, so the way is told
        await until(pilot, lambda: prompt(app).has_focus)
        await app.run_action("delete", default_namespace=app.screen.query_one(ChatPane))
        await until(pilot, lambda: "Delete this conversation?" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: any("esc z brings it back" in notice for notice in notices(app)))
        await pilot.press("escape", "z")
        await until(pilot, lambda: [one.content for one in view(app).messages] == ["hail", "aye"])


async def test_a_list_that_is_opened_and_left_at_once_leaves_nothing_behind(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        chats = app.screen.query_one(ConversationList)
        for _ in range(3):  # each cancels the one before, which has not begun
            chats.entered()
        await pilot.pause()
        chats.entered()
        app.exit()
    gc.collect()
    assert [str(one.message) for one in recwarn if "never awaited" in str(one.message)] == []


async def test_the_search_finds_what_was_said(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="the moor of Venice"))
    async with app.run_test(size=(100, 40)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not view(app).messages)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "conversation" in screen_text(app))
        await pilot.press("slash", *"venice")
        await until(pilot, lambda: "hail: the moor of Venice" in screen_text(app))
        await until(pilot, lambda: "1 message" in screen_text(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "▌ the moor of Venice" in screen_text(app))


async def test_what_was_selected_in_one_conversation_leaves_no_mark_in_the_next(tmp_path: Path) -> None:
    """Where the list stands in the place of the conversation, that is drawn anew when it comes back."""
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(80, 24)) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        first = await fork(app, pilot)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "2 conversations" in screen_text(app))
        await pilot.press("slash", *"aye")
        await until(pilot, lambda: "2 messages" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query_one(ConversationList).table.has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: "▌ aye" in screen_text(app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "2 messages" in screen_text(app))
        await until(pilot, lambda: app.screen.query_one(ConversationList).table.has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: "2 conversations" in screen_text(app))
        shown = app.services.chats.shown.value.id
        await app.services.chats.show(first + 1 if shown == first else first)
        await pilot.press("enter")
        await until(pilot, lambda: prompt(app).has_focus and "aye" in screen_text(app))
        await until(pilot, lambda: "▌" not in screen_text(app))


async def test_a_conversation_goes_into_a_file_and_comes_back(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await open_chat(app, pilot)
        await ask(app, pilot, "hail", 2)
        first = app.services.chats.shown.value.id
        file = tmp_path / "talk.json"
        await pilot.press("escape", "w")
        await pilot.pause()
        await pilot.press("ctrl+u", *str(file), "enter")
        await until(pilot, file.exists)
        json.loads(file.read_text())
        await pilot.press("w")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        await pilot.press("ctrl+u", *str(file))
        await until(pilot, lambda: "There is a file of this name already." in screen_text(app))
        await pilot.press("escape", "ctrl+l")
        await until(pilot, lambda: "1 conversation" in screen_text(app))
        await pilot.press("I")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        await pilot.press("ctrl+u", *str(file), "x")
        await until(pilot, lambda: "There is no file of this name." in screen_text(app))
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: app.services.chats.shown.value.id not in (0, first))
        assert [one.content for one in view(app).messages] == ["hail", "aye"]
        await until(pilot, lambda: prompt(app).has_focus)  # it is shown, not only read
        assert "Read: hail. It is shown now." in notices(app)


async def test_a_file_that_cannot_be_sent_is_told_and_nothing_ends(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await open_chat(app, pilot)
        await pilot.press(*"/attach ~nobody-of-this-name/x.png", "enter")
        await until(pilot, lambda: notices(app))
        assert app.is_running
        assert not view(app).messages
