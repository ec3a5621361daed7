"""`ChatStore`: conversations, messages and drafts in one SQLite file.

All SQL runs in one thread of its own, in the order it was asked for; callers await it. Every method raises
StoreError where the file cannot be read or written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ollama_engine.errors import StoreError
from ollama_tui.chats.records import Conversation, Status, StoredMessage, Timings

R = TypeVar("R")

VERSION = 1
SCHEMA = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    draft TEXT NOT NULL DEFAULT '',
    title TEXT NOT NULL DEFAULT '',
    updated_at REAL NOT NULL
);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    parent_id INTEGER REFERENCES messages(id),
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    thinking TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL,
    note TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    created_at REAL NOT NULL,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    prompt_ns INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0,
    tokens_ns INTEGER NOT NULL DEFAULT 0,
    load_ns INTEGER NOT NULL DEFAULT 0,
    first_token_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX messages_of ON messages(conversation_id, id);
"""
TIMINGS = "prompt_tokens, prompt_ns, tokens, tokens_ns, load_ns, first_token_ns"


class ChatStore:
    """Opens its file on first use. `parent_id` is the message before: the tree that forks will grow from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chats")
        self._database: sqlite3.Connection | None = None
        self._closed = False

    async def conversations(self, limit: int = 200) -> list[Conversation]:
        """The ones last touched first."""
        return await self._run(lambda database: _conversations(database, limit))

    async def latest(self) -> Conversation | None:
        found = await self.conversations(1)
        return found[0] if found else None

    async def conversation(self, conversation_id: int) -> Conversation | None:
        return await self._run(lambda database: _conversation(database, conversation_id))

    async def messages(self, conversation_id: int) -> list[StoredMessage]:
        """All messages of a conversation, oldest first."""
        return await self._run(lambda database: _messages(database, conversation_id))

    async def start(self, model: str, draft: str, now: float) -> int:
        """A new conversation; its id."""
        sql = "INSERT INTO conversations (model, draft, updated_at) VALUES (?, ?, ?)"
        return await self._run(lambda database: _insert(database, sql, (model, draft, now)))

    async def save_draft(self, conversation_id: int, model: str, draft: str, now: float) -> None:
        """Keep the words not yet sent and the model they are meant for."""
        sql = "UPDATE conversations SET model = ?, draft = ?, updated_at = ? WHERE id = ?"
        await self._run(lambda database: database.execute(sql, (model, draft, now, conversation_id)))

    async def save_title(self, conversation_id: int, title: str) -> None:
        sql = "UPDATE conversations SET title = ? WHERE id = ?"
        await self._run(lambda database: database.execute(sql, (title, conversation_id)))

    async def add_message(
        self, conversation_id: int, role: str, content: str, *, status: Status, model: str, now: float
    ) -> int:
        """Append a message; its id."""
        return await self._run(
            lambda database: _add_message(database, conversation_id, role, content, status, model, now)
        )

    async def save_message(self, message: StoredMessage) -> None:
        """Write all of a message that may change after it was added."""
        timings = message.timings
        values = (message.content, message.thinking, message.status, message.note)
        counts = (
            *(timings.prompt_tokens, timings.prompt_ns, timings.tokens, timings.tokens_ns),
            *(timings.load_ns, timings.first_token_ns),
        )
        sql = (
            "UPDATE messages SET content = ?, thinking = ?, status = ?, note = ?,"
            f" ({TIMINGS}) = (?, ?, ?, ?, ?, ?) WHERE id = ?"
        )
        await self._run(lambda database: database.execute(sql, (*values, *counts, message.id)))

    async def withdraw(self, *message_ids: int) -> None:
        """Take messages back, newest first, as if they had not been sent."""
        await self._run(lambda database: _withdraw(database, message_ids))

    async def aclose(self) -> None:
        """Wait for what is being written, then close; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        if self._closed:
            raise StoreError(f"the chat store {self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], R]) -> R:
        try:
            if self._database is None:
                self._database = _open(self.path)
            return work(self._database)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"cannot keep conversations in {self.path}: {error}",
                hint="Make room or move the file away; this conversation lives in memory until then.",
            ) from error

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The connection lives in the store's one thread, except that the interpreter may collect it from another.
    database = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("BEGIN IMMEDIATE")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        database.close()
        raise StoreError(f"{path} was written by a newer ollama-tui", hint="Update, or move the file away.")
    if version == 0:
        for statement in SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")
    return database


def _insert(database: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> int:
    row_id = database.execute(sql, values).lastrowid
    assert row_id is not None  # an INSERT has one
    return row_id


def _conversations(database: sqlite3.Connection, limit: int) -> list[Conversation]:
    sql = "SELECT id, model, draft, title, updated_at FROM conversations ORDER BY updated_at DESC, id DESC LIMIT ?"
    return [Conversation(*row) for row in database.execute(sql, (limit,))]


def _conversation(database: sqlite3.Connection, conversation_id: int) -> Conversation | None:
    sql = "SELECT id, model, draft, title, updated_at FROM conversations WHERE id = ?"
    row = database.execute(sql, (conversation_id,)).fetchone()
    return None if row is None else Conversation(*row)


def _messages(database: sqlite3.Connection, conversation_id: int) -> list[StoredMessage]:
    sql = (
        f"SELECT id, role, content, status, thinking, note, model, created_at, {TIMINGS}"
        " FROM messages WHERE conversation_id = ? ORDER BY id"
    )
    rows = database.execute(sql, (conversation_id,))
    return [StoredMessage(*row[:8], timings=Timings(*row[8:])) for row in rows]


def _add_message(
    database: sqlite3.Connection,
    conversation_id: int,
    role: str,
    content: str,
    status: Status,
    model: str,
    now: float,
) -> int:
    sql = (
        "INSERT INTO messages (conversation_id, parent_id, role, content, status, model, created_at)"
        " VALUES (?, (SELECT max(id) FROM messages WHERE conversation_id = ?), ?, ?, ?, ?, ?)"
    )
    values = (conversation_id, conversation_id, role, content, status, model, now)
    row_id = _insert(database, sql, values)
    database.execute("UPDATE conversations SET updated_at = ? WHERE id = ?", (now, conversation_id))
    return row_id


def _withdraw(database: sqlite3.Connection, message_ids: tuple[int, ...]) -> None:
    for message_id in sorted(message_ids, reverse=True):
        database.execute("DELETE FROM messages WHERE id = ?", (message_id,))
