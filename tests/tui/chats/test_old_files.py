"""A chat file of an older version: nothing of it is lost, and a copy of it stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ollama_engine.errors import StoreError
from ollama_tui.chats import ChatStore

FIRST_VERSION = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, draft TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '', updated_at REAL NOT NULL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages(id), role TEXT NOT NULL, content TEXT NOT NULL,
    thinking TEXT NOT NULL DEFAULT '', status TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    prompt_ns INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0, tokens_ns INTEGER NOT NULL DEFAULT 0,
    load_ns INTEGER NOT NULL DEFAULT 0, first_token_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_of ON messages(conversation_id, id);
INSERT INTO conversations VALUES (1, 'bard', 'half a thought', 'Who goes', 5.0);
INSERT INTO messages (id, conversation_id, parent_id, role, content, status, created_at)
    VALUES (1, 1, NULL, 'user', 'Who goes there?', 'done', 1.0);
INSERT INTO messages (id, conversation_id, parent_id, role, content, status, model, created_at, tokens)
    VALUES (2, 1, 1, 'assistant', 'A moor of Venice', 'done', 'bard', 2.0, 7);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "chats.db"
    database = sqlite3.connect(path)
    database.executescript(FIRST_VERSION)
    database.close()
    return path


async def test_it_is_brought_up_to_date_whole_and_searched(old: Path) -> None:
    store = ChatStore(old)
    [conversation] = await store.conversations()
    assert (conversation.title, conversation.draft, conversation.head_id) == ("Who goes", "half a thought", 2)
    messages = await store.messages(1)
    assert [(one.content, one.parent_id, one.timings.tokens) for one in messages] == [
        ("Who goes there?", None, 0),
        ("A moor of Venice", 1, 7),
    ]
    assert [found.message_id for found in await store.search("venice")] == [2]
    await store.aclose()


async def test_a_copy_of_it_as_it_was_stays_beside_it(old: Path) -> None:
    store = ChatStore(old)
    await store.conversations()
    await store.aclose()
    database = sqlite3.connect(old.with_name("chats.db.v1"))
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    assert database.execute("SELECT content FROM messages").fetchall() == [("Who goes there?",), ("A moor of Venice",)]
    database.close()


async def test_one_of_a_newer_program_is_refused_and_left_as_it_is(old: Path) -> None:
    database = sqlite3.connect(old)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = old.read_bytes()
    store = ChatStore(old)
    with pytest.raises(StoreError, match="newer"):
        await store.conversations()
    await store.aclose()
    assert old.read_bytes() == before
