"""Chat: a streaming answer as Markdown with its speed; esc stops it; nothing typed is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from itertools import count
from pathlib import Path

import pytest
from textual.widgets import OptionList

from ollama_engine.errors import LoadFailed, RunnerDied
from ollama_engine.types import ChatChunk, ChatRequest
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.panes.chat.transcript import Transcript
from ollama_tui.services.chat_session import ChatView
from tests.support.demo_engine import ANSWER, DemoEngine, demo_running, pieces
from tests.support.workstation import notices, screen_text, until, workstation


def view(app: Workstation) -> ChatView:
    return app.services.chats.shown.value.view.value


def prompt(app: Workstation) -> PromptEditor:
    return app.screen.query_one(PromptEditor)


def answered(app: Workstation, count: int = 2) -> bool:
    return len(view(app).messages) >= count and view(app).reply is None


async def test_an_answer_streams_in_and_ends_with_its_speed(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.gate = asyncio.Semaphore(0)
    app = workstation(tmp_path, engine, clock=count(1000.0, 0.25).__next__)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press(*"hail", "enter")
        await until(pilot, lambda: "loading model llama3.1:8b…" in screen_text(app))
        assert prompt(app).text == ""
        for _ in range(2):
            engine.gate.release()
        await until(pilot, lambda: "Good morrow!" in screen_text(app))
        await until(pilot, lambda: "tok/s" in screen_text(app))
        for _ in pieces(ANSWER):
            engine.gate.release()
        await until(pilot, lambda: "42.0 tok/s" in screen_text(app))
        text = screen_text(app)
        assert "prompt 520 tok/s" in text
        assert "first token" in text
        assert "84 tokens" in text
        assert app.screen.query_one(Transcript).selected_text() == ANSWER
        assert "**" not in text


async def test_an_answer_made_without_the_whole_history_says_so(tmp_path: Path) -> None:
    engine = DemoEngine(answer="Aye.")
    engine.cut = {"dropped_messages": 3, "truncated_tokens": 250}
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press(*"hail", "enter")
        await until(pilot, lambda: "the oldest 3 messages did not fit the context" in screen_text(app))
        assert "250 tokens were cut out of the prompt" in screen_text(app)
        engine.cut = {"dropped_messages": 1}
        await pilot.press(*"hail", "enter")
        await until(pilot, lambda: "the oldest 1 message did not fit" in screen_text(app))
        await until(pilot, lambda: "tokens, 1 message left out" in screen_text(app))


async def test_the_whole_conversation_is_sent_with_each_question(tmp_path: Path) -> None:
    engine = DemoEngine(answer="aye")
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("a", "enter")
        await until(pilot, lambda: answered(app))
        await pilot.press("b", "enter")
        await until(pilot, lambda: answered(app, 4))
        sent = [(message.role, message.content) for message in engine.asked[1].messages]
        assert sent == [("user", "a"), ("assistant", "aye"), ("user", "b")]


async def test_escape_stops_the_answer_and_keeps_what_was_written(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two three four")
    engine.gate = asyncio.Semaphore(2)
    app = workstation(tmp_path, engine, clock=count(1000.0, 0.25).__next__)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "one two" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: answered(app))
        last = view(app).messages[-1]
        assert (last.content, last.status) == ("one two", "stopped")
        assert engine.closed_streams == 1
        await until(pilot, lambda: "stopped" in screen_text(app))
        assert "tok/s" in screen_text(app)
    kept = ChatStore(tmp_path / "chats.db")
    saved = await kept.latest()
    assert saved is not None
    assert [one.content for one in await kept.messages(saved.id)] == ["x", "one two"]
    await kept.aclose()


async def test_a_prompt_that_could_not_be_sent_is_back_in_the_editor_with_the_reason(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["chat"] = LoadFailed("llama3.1:8b does not load", hint="Free some memory.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press(*"hail", "enter")
        await until(pilot, lambda: "✗ llama3.1:8b does not load. Free some memory." in screen_text(app))
        await until(pilot, lambda: prompt(app).text == "hail")
        assert view(app).messages == ()
        assert notices(app) == []  # it stands above the prompt, and one is enough
        engine.failures.clear()
        await pilot.press("enter")
        await until(pilot, lambda: answered(app))
        await until(pilot, lambda: not app.screen.query_one("#chat-failure").display)


async def test_a_prompt_that_fails_behind_another_pane_is_told_there(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["chat"] = LoadFailed("llama3.1:8b does not load", hint="Free some memory.")
    held = asyncio.Event()

    async def later(request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        await held.wait()
        async for chunk in DemoEngine.chat(engine, request):
            yield chunk

    engine.chat = later
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press(*"hail", "enter", "f1")
        await until(pilot, lambda: app.pane == "library")
        held.set()
        await until(pilot, lambda: notices(app) == ["llama3.1:8b does not load\nFree some memory."])


async def test_a_runner_that_dies_half_way_leaves_what_was_said_and_the_reason(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two three")
    engine.fails_after, engine.failures["later"] = 2, RunnerDied("the runner died", hint="Ask again.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: answered(app))
        assert view(app).messages[-1].content == "one two"
        await until(pilot, lambda: "failed: the runner died" in screen_text(app))
        assert "✗ the runner died. Ask again." in screen_text(app)
        assert prompt(app).text == ""


async def test_a_fault_in_an_engine_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    class Faulty(DemoEngine):
        def _find(self, name: str):
            raise KeyError(name)

    app = workstation(tmp_path, Faulty())
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "the engine failed: KeyError" in screen_text(app))
        assert prompt(app).text == "x"


@pytest.mark.parametrize("key", ["shift+enter", "ctrl+j", "alt+enter"])
async def test_several_keys_begin_a_new_line(tmp_path: Path, key: str) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("4", "a", key, "b")
        assert prompt(app).text == "a\nb"


async def test_the_draft_and_the_conversation_are_there_after_a_restart(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("a", "enter")
        await until(pilot, lambda: answered(app))
        await pilot.press(*"half a th", "ctrl+q")
        await until(pilot, lambda: app._exit)
    again = workstation(tmp_path)
    async with again.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: prompt(again).text == "half a th")
        assert [one.content for one in view(again).messages] == ["a", "aye"]
        await until(pilot, lambda: "aye" in screen_text(again))


async def test_quit_during_an_answer_keeps_what_was_written(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two three")
    engine.gate = asyncio.Semaphore(2)
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "one two" in screen_text(app))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    kept = ChatStore(tmp_path / "chats.db")
    saved = await kept.latest()
    assert saved is not None
    assert [(one.content, one.status) for one in await kept.messages(saved.id)] == [
        ("x", "done"),
        ("one two", "stopped"),
    ]
    await kept.aclose()


async def test_an_answer_goes_on_while_another_pane_is_looked_at(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two three")
    engine.gate = asyncio.Semaphore(1)
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: view(app).reply and view(app).reply.text)  # pyright: ignore[reportOptionalMemberAccess]
        await pilot.press("f5")
        engine.gate.release()
        engine.gate.release()
        await until(pilot, lambda: answered(app))
        await pilot.press("4")
        await until(pilot, lambda: "one two three" in screen_text(app))


async def test_the_picker_chooses_the_model_by_keyboard(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("ctrl+o", *"coder")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: view(app).model == "qwen2.5-coder:7b")
        assert prompt(app).has_focus


async def test_the_picker_leaves_out_models_that_cannot_write_and_escape_changes_nothing(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        model = view(app).model
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "Which model answers" in screen_text(app))
        assert "nomic-embed-text" not in screen_text(app)
        await pilot.press("down", "escape")
        await until(pilot, lambda: prompt(app).has_focus)
        assert view(app).model == model


async def test_a_new_conversation_and_back_to_the_old_one(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="aye"))
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press(*"first", "enter")
        await until(pilot, lambda: answered(app))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not view(app).messages)
        await until(pilot, lambda: "aye" not in screen_text(app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "Conversations" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: answered(app))
        await until(pilot, lambda: "first" in screen_text(app) and "aye" in screen_text(app))


async def test_reading_further_up_is_not_disturbed_by_new_words(tmp_path: Path) -> None:
    engine = DemoEngine(answer="\n\n".join(f"line {number}" for number in range(60)))
    engine.gate = asyncio.Semaphore(100)
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        transcript = app.screen.query_one("#transcript")
        await until(pilot, lambda: transcript.max_scroll_y > 30 and transcript.is_vertical_scroll_end)
        await pilot.press("pageup")
        await until(pilot, lambda: not transcript.is_vertical_scroll_end)
        place = transcript.scroll_y
        for _ in range(20):
            engine.gate.release()
        await until(pilot, lambda: answered(app))
        await pilot.pause()
        assert transcript.scroll_y == place
        await pilot.press("ctrl+end")
        await until(pilot, lambda: transcript.is_vertical_scroll_end)


async def test_control_characters_of_a_model_never_reach_the_terminal(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(answer="a\x1b]52;c;aGk=\x07b\n\n[red]not markup[/]\n\n<b>kept</b>"))
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "kept" in screen_text(app))
        text = screen_text(app)
        assert "a␛]52;c;aGk=␇b" in text
        assert "[red]not markup[/]" in text
        assert "<b>kept</b>" in text
        assert not {"\x1b", "\x07"} & set(text)


async def test_thinking_is_told_apart_from_the_answer(tmp_path: Path) -> None:
    engine = DemoEngine(answer="aye", thinking="let me see now")
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: "thought · 4 words" in screen_text(app))
        assert view(app).messages[-1].content == "aye"


async def test_while_the_model_loads_it_says_how_far(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running(state="loading")])
    engine.gate = asyncio.Semaphore(0)
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("4")
        await until(pilot, lambda: view(app).model == "llama3.1:8b")
        await pilot.press("x", "enter")
        await until(pilot, lambda: "loading model llama3.1:8b… 40%" in screen_text(app))
