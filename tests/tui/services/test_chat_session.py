"""A conversation as a service: it answers without a screen, saves while it streams, and survives a broken disk."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ollama_tui.chats import Attachment, ChatStore, StoredMessage, Timings
from ollama_tui.services import ChatService, EngineLink
from ollama_tui.services import exchange as module
from ollama_tui.services.chat_session import ChatSession
from ollama_tui.services.chat_view import context_use
from tests.support.demo_engine import NOW, DemoEngine, demo_requests, demo_running


async def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "this never came true"
        await asyncio.sleep(0.005)


def service(folder: Path, engine: DemoEngine) -> tuple[ChatService, ChatStore]:
    store = ChatStore(folder / "chats.db")
    return ChatService(EngineLink.to(engine, "demo"), store, clock=lambda: NOW), store


def is_done(session: ChatSession) -> bool:
    return not session.busy and session.view.value.reply is None


async def test_while_it_streams_the_answer_is_on_disk_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    engine = DemoEngine(answer="one two three")
    engine.gate = asyncio.Semaphore(2)
    chats, store = service(tmp_path, engine)
    await chats.new("bard")
    session = chats.shown.value
    assert session.send("hail")
    await until(lambda: session.view.value.reply and session.view.value.reply.text == "one two")
    other = ChatStore(tmp_path / "chats.db")
    messages = []
    for _ in range(200):
        messages = await other.messages(session.id)
        if messages[-1].content == "one two":
            break
        await asyncio.sleep(0.01)
    assert [(one.content, one.status) for one in messages] == [("hail", "done"), ("one two", "streaming")]
    await other.aclose()
    await chats.aclose()
    await store.aclose()


async def test_prompts_sent_meanwhile_wait_and_are_answered_in_turn(tmp_path: Path) -> None:
    engine = DemoEngine(answer="aye")
    engine.gate = asyncio.Semaphore(0)
    chats, store = service(tmp_path, engine)
    await chats.new("bard")
    session = chats.shown.value
    assert session.send("one")
    assert not session.send("  ")
    assert session.send("two")
    assert session.send("three")
    assert [one.content for one in session.view.value.queued] == ["two", "three"]
    await until(lambda: engine.asked)
    written = [(one.content, one.status) for one in await store.messages(session.id)]
    assert ("three", "queued") in written
    for _ in range(3):
        engine.gate.release()
    await until(lambda: is_done(session))
    assert [one.content for one in session.view.value.messages] == ["one", "aye", "two", "aye", "three", "aye"]
    assert [len(asked.messages) for asked in engine.asked] == [1, 3, 5]
    assert session.view.value.queued == ()
    assert {one.status for one in await store.messages(session.id)} == {"done"}
    await chats.aclose()
    await store.aclose()


async def test_a_conversation_with_pictures_goes_on_with_a_model_that_sees_none(tmp_path: Path) -> None:
    engine = DemoEngine(answer="aye")
    chats, store = service(tmp_path, engine)
    await chats.new("llava:13b-v1.6-vicuna-q4_K_M")
    session = chats.shown.value
    await session.attach(Attachment("king.png", "image", 3), b"png")
    await session.attach(Attachment("note.txt", "text", 4), b"long")
    session.send("Who is this?")
    await until(lambda: is_done(session))
    session.use_model("bard")
    session.send("And his crown?")
    await until(lambda: is_done(session) and len(session.view.value.messages) == 4)
    seen, blind = (asked.messages for asked in engine.asked)
    assert seen[0].images
    assert [message.images for message in blind] == [None] * 3
    assert "long" in blind[0].content
    answers = [one.note for one in session.view.value.messages if one.role == "assistant"]
    assert answers == ["", "without king.png of earlier messages, which this model cannot take"]
    await session.attach(Attachment("king.png", "image", 3), b"png")
    session.send("Look at it")  # what was attached on purpose is for the engine to refuse
    await until(lambda: is_done(session) and len(session.view.value.messages) == 6)
    assert engine.asked[2].messages[-1].images
    await chats.aclose()
    await store.aclose()


async def test_what_waits_is_taken_back_last_first_and_all_of_it_when_the_answer_is_stopped(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two")
    engine.gate = asyncio.Semaphore(1)
    chats, store = service(tmp_path, engine)
    await chats.new("bard")
    session = chats.shown.value
    for text in ("first", "second", "third", "fourth"):
        session.send(text)
    assert session.take_back()
    assert session.view.value.draft == "fourth"
    await until(lambda: session.view.value.reply and session.view.value.reply.text)
    assert session.stop()
    await until(lambda: is_done(session))
    assert session.view.value.draft == "second\n\nthird\n\nfourth"
    assert not session.take_back()
    assert [one.content for one in session.view.value.messages] == ["first", "one"]
    await chats.aclose()
    assert [one.content for one in await store.messages(session.id)] == ["first", "one"]
    await store.aclose()


async def test_how_full_the_context_is_is_known_of_an_answer_that_was_stopped(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two three", running=[demo_running()])
    engine.gate = asyncio.Semaphore(2)
    engine.running_requests = [replace(demo_requests()[0], prompt_tokens=300)]
    chats, store = service(tmp_path, engine)
    await chats.new("llama3.1:8b")
    session = chats.shown.value
    session.send("hail")
    await until(lambda: session.view.value.reply and session.view.value.reply.text == "one two")
    session.stop()
    await until(lambda: is_done(session))
    use = session.view.value.context
    assert (use.used, use.total) == (300 + session.view.value.messages[-1].timings.tokens, 8192)
    await chats.aclose()
    await store.aclose()


def test_an_answer_longer_than_the_context_fills_it() -> None:
    answer = StoredMessage(1, "assistant", "x", "done", context_total=512, timings=Timings(prompt_tokens=9, tokens=900))
    assert context_use((answer,)).used == 512


async def test_stopped_before_the_first_word_the_prompt_is_a_draft_again(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.gate = asyncio.Semaphore(0)
    chats, store = service(tmp_path, engine)
    await chats.new("bard")
    session = chats.shown.value
    session.send("think of this")
    await until(lambda: engine.asked)
    session.edit_draft("and that")
    assert session.stop()
    assert not session.stop()
    await until(lambda: is_done(session))
    assert session.view.value.messages == ()
    assert session.view.value.draft == "think of this\n\nand that"
    await chats.aclose()
    saved = await store.latest()
    assert saved is not None
    assert saved.draft == "think of this\n\nand that"
    assert await store.messages(saved.id) == []
    await store.aclose()


async def test_stop_at_any_moment_loses_neither_prompt_nor_answer(tmp_path: Path) -> None:
    for steps in range(12):
        folder = tmp_path / str(steps)
        chats, store = service(folder, DemoEngine(answer="one two three"))
        await chats.new("bard")
        session = chats.shown.value
        session.send("hail")
        for _ in range(steps):
            await asyncio.sleep(0.001)
        session.stop()
        await until(lambda: is_done(session))  # noqa: B023
        view = session.view.value
        assert view.draft == "hail" or (view.messages[0].content == "hail" and view.messages[1].content)
        await chats.aclose()
        await store.aclose()


async def test_a_conversation_answers_behind_the_one_that_is_shown(tmp_path: Path) -> None:
    engine = DemoEngine(answer="one two")
    engine.gate = asyncio.Semaphore(0)
    chats, store = service(tmp_path, engine)
    await chats.new("bard")
    behind = chats.shown.value
    behind.send("hail")
    await until(lambda: engine.asked)
    await chats.new("bard")
    assert chats.shown.value is not behind
    engine.gate.release()
    engine.gate.release()
    await until(lambda: is_done(behind))
    assert behind.view.value.messages[-1].content == "one two"
    await chats.show(behind.id)
    assert [one.content for one in chats.shown.value.view.value.messages] == ["hail", "one two"]
    await chats.aclose()
    await store.aclose()


async def test_where_nothing_can_be_saved_one_can_still_talk_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "chats.db").mkdir()
    chats, store = service(tmp_path, DemoEngine(answer="aye"))
    assert await chats.restore() is not None
    await chats.new("bard")
    session = chats.shown.value
    session.send("hail")
    await until(lambda: is_done(session) and len(session.view.value.messages) == 2)
    assert [one.content for one in session.view.value.messages] == ["hail", "aye"]
    failure = session.view.value.failure
    assert failure is not None
    assert "cannot keep conversations" in failure.error.message
    await chats.aclose()
    await store.aclose()


async def test_an_empty_conversation_leaves_no_trace(tmp_path: Path) -> None:
    chats, store = service(tmp_path, DemoEngine())
    await chats.new("bard")
    await chats.new("llama3.1:8b")
    await chats.aclose()
    assert await store.conversations() == []
    await store.aclose()


async def test_a_draft_that_is_being_written_when_the_program_ends_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    chats, store = service(tmp_path, DemoEngine())
    await chats.new("bard")
    session = chats.shown.value
    assert session.send("hail")
    await until(lambda: is_done(session))
    disk_is_slow = threading.Event()
    store._thread.submit(disk_is_slow.wait)
    session.edit_draft("half a thought")
    await until(lambda: session._record._saving.locked())
    closing = asyncio.create_task(chats.aclose())
    await until(lambda: session._draft_saver is None or session._draft_saver.done())
    disk_is_slow.set()
    await closing
    saved = await store.conversation(session.id)
    assert saved is not None
    assert saved.draft == "half a thought"
    await store.aclose()
