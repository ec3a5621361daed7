"""What was written is there after a kill; what cannot be written is an error that names the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ollama_engine.errors import StoreError
from ollama_tui.chats import ChatStore, Timings


async def test_messages_come_back_as_they_were_with_their_timings(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "deep" / "chats.db")
    conversation = await store.start("bard", "a draft", 10.0)
    await store.add_message(conversation, "user", "who\0goes", status="done", model="", now=11.0)
    answer = await store.add_message(conversation, "assistant", "", status="streaming", model="bard", now=12.0)
    [_, message] = await store.messages(conversation)
    full = replace(message, content="I", status="done", thinking="hm", timings=Timings(1, 2, 3, 4, 5, 6))
    await store.save_message(full)
    await store.aclose()
    again = ChatStore(tmp_path / "deep" / "chats.db")
    [question, kept] = await again.messages(conversation)
    assert question.content == "who\0goes"
    assert (kept, kept.id) == (full, answer)
    await again.aclose()


async def test_the_conversation_last_touched_comes_first_and_drafts_are_kept(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "chats.db")
    first = await store.start("bard", "", 1.0)
    second = await store.start("bard", "", 2.0)
    assert [one.id for one in await store.conversations()] == [second, first]
    await store.save_draft(first, "llama", "half a thought", 3.0)
    latest = await store.latest()
    assert latest is not None
    assert (latest.id, latest.model, latest.draft) == (first, "llama", "half a thought")
    await store.aclose()


async def test_withdrawn_messages_are_gone(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "chats.db")
    conversation = await store.start("bard", "", 1.0)
    ids = [
        await store.add_message(conversation, role, "x", status="done", model="", now=1.0)
        for role in ("user", "assistant")
    ]
    await store.withdraw(*ids)
    assert await store.messages(conversation) == []
    await store.aclose()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from ollama_tui.chats import ChatStore

async def main():
    store = ChatStore(Path(sys.argv[1]))
    conversation = await store.start("bard", "", 1.0)
    await store.add_message(conversation, "user", "remember me", status="done", model="", now=1.0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(path))
    assert await killed.wait() == -signal.SIGKILL
    store = ChatStore(path)
    [conversation] = await store.conversations()
    assert [one.content for one in await store.messages(conversation.id)] == ["remember me"]
    await store.aclose()


async def test_two_workstations_write_into_one_file(tmp_path: Path) -> None:
    stores = [ChatStore(tmp_path / "chats.db") for _ in range(2)]
    for number in range(20):
        await stores[number % 2].start("bard", f"{number}", float(number))
    assert len(await stores[0].conversations()) == 20
    for store in stores:
        await store.aclose()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot keep conversations"):
        await ChatStore(tmp_path / "chats.db").latest()


async def test_a_file_that_is_no_database_is_a_store_error_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    path.write_bytes(b"not a database, but somebody's" * 100)
    store = ChatStore(path)
    with pytest.raises(StoreError, match="cannot keep conversations in"):
        await store.latest()
    await store.aclose()
    assert path.read_bytes().startswith(b"not a database")


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    store = ChatStore(path)
    with pytest.raises(StoreError, match="newer"):
        await store.latest()
    await store.aclose()
