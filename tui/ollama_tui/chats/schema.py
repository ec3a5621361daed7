"""The tables of the chat file, and how a file of an older version becomes one of this.

A file is brought up to date in one transaction, and a copy of it as it was is kept beside it (`chats.db.v1`).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ollama_engine.errors import StoreError

VERSION = 2

_FIRST = """
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

# A message's parent is the one before it; `head_id` is the last message of the branch that is shown. Attachments and
# calls are JSON; what is in a file is kept once, under the SHA-256 of it.
_SECOND = """
ALTER TABLE conversations ADD COLUMN head_id INTEGER;
ALTER TABLE conversations ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE conversations ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
ALTER TABLE conversations ADD COLUMN unread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE conversations ADD COLUMN deleted_at REAL;
ALTER TABLE messages ADD COLUMN thinking_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN tool_calls TEXT NOT NULL DEFAULT '[]';
ALTER TABLE messages ADD COLUMN tool_name TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN tool_call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
ALTER TABLE messages ADD COLUMN dropped_messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN cut_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN context_total INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_below ON messages(parent_id);
CREATE TABLE files (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
UPDATE conversations SET head_id = (SELECT max(id) FROM messages WHERE conversation_id = conversations.id);
CREATE VIRTUAL TABLE words USING fts5(content, tokenize = "unicode61 remove_diacritics 2");
INSERT INTO words (rowid, content) SELECT id, content FROM messages;
CREATE TRIGGER message_added AFTER INSERT ON messages BEGIN
    INSERT INTO words (rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF content ON messages WHEN new.content IS NOT old.content BEGIN
    UPDATE words SET content = new.content WHERE rowid = new.id;
END;
CREATE TRIGGER message_removed AFTER DELETE ON messages BEGIN
    DELETE FROM words WHERE rowid = old.id;
END;
"""
_STEPS = (_FIRST, _SECOND)

DELETED_SECONDS = 30 * 86400
"""How long a deleted conversation can be brought back."""


def open_database(path: Path) -> sqlite3.Connection:
    """The file, made or brought up to date; StoreError where a newer program wrote it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The connection lives in the store's one thread, except that the interpreter may collect it from another.
    database = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    try:
        _refuse_newer(database, path)  # before anything of it is changed
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if 0 < _version(database) < VERSION:
            _keep_a_copy(database, path)
        _bring_up_to_date(database)
        database.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        database.close()
        raise
    return database


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def _keep_a_copy(database: sqlite3.Connection, path: Path) -> None:
    copy = path.with_name(f"{path.name}.v{_version(database)}")
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.part")
        unfinished.unlink(missing_ok=True)
        database.execute("VACUUM INTO ?", (str(unfinished),))
        unfinished.replace(copy)


def _refuse_newer(database: sqlite3.Connection, path: Path) -> None:
    if _version(database) > VERSION:
        raise StoreError(f"{path} was written by a newer ollama-tui", hint="Update, or move the file away.")


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    version = _version(database)
    for step in _STEPS[version:]:
        for statement in _statements(step):
            database.execute(statement)
    if version < VERSION:
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """Single statements, as a script would end the transaction that they belong to."""
    found: list[str] = []
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


def purge(database: sqlite3.Connection, now: float) -> None:
    """Forget what was deleted long ago, and files that no message has any more."""
    database.execute("BEGIN IMMEDIATE")
    database.execute("DELETE FROM conversations WHERE deleted_at < ?", (now - DELETED_SECONDS,))
    kept = " UNION ".join(
        f"SELECT json_extract(value, '$.digest') FROM {table}, json_each({table}.attachments)"
        for table in ("messages", "conversations")
    )
    database.execute(f"DELETE FROM files WHERE digest NOT IN ({kept})")
    database.execute("COMMIT")
