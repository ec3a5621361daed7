"""Rows of the chat file as records, and back. Used by store.py and search.py, in the store's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from ollama_tui.chats.records import Attachment, ChatSettings, Conversation, Status, StoredMessage, Timings, ToolCall

R = TypeVar("R")

BEHIND_HEAD = -1
"""As a `parent_id`: the end of the branch that is shown."""

_TIMINGS = "prompt_tokens, prompt_ns, tokens, tokens_ns, load_ns, first_token_ns, thinking_ns"
_MESSAGE = (
    "id, role, content, status, thinking, note, model, created_at, parent_id, tool_name, tool_call_id,"
    f" dropped_messages, cut_tokens, context_total, tool_calls, attachments, {_TIMINGS}"
)
_CHANGING = (
    "content, thinking, status, note, parent_id, tool_calls, dropped_messages, cut_tokens, context_total, " + _TIMINGS
)
CONVERSATION = (
    "conversations.id, conversations.model, draft, title, updated_at, head_id, unread, settings,"
    " conversations.attachments,"
    " (SELECT count(*) FROM messages m WHERE m.conversation_id = conversations.id AND m.status <> 'queued'),"
    " (SELECT 1e9 * sum(tokens) / sum(tokens_ns) FROM messages m"
    "  WHERE m.conversation_id = conversations.id AND tokens_ns > 0)"
)


@dataclass(frozen=True)
class NewMessage:
    """What is known of a message when it is added."""

    conversation_id: int
    role: str
    content: str
    status: Status
    created_at: float
    parent_id: int | None = BEHIND_HEAD
    model: str = ""
    tool_name: str = ""
    tool_call_id: str = ""
    attachments: tuple[Attachment, ...] = ()


def to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def from_json(text: str, kind: type[R]) -> R:
    return msgspec.json.decode(text, type=kind)


def insert(database: sqlite3.Connection, sql: str, values: tuple[object, ...]) -> int:
    row_id = database.execute(sql, values).lastrowid
    assert row_id is not None  # an INSERT has one
    return row_id


def conversation_of(row: tuple[Any, ...]) -> Conversation:
    """From the columns CONVERSATION."""
    id_, model, draft, title, updated_at, head_id, unread, settings, attachments, messages, speed = row
    return Conversation(
        id_,
        model,
        draft,
        title,
        updated_at,
        head_id,
        from_json(settings, ChatSettings),
        from_json(attachments, tuple[Attachment, ...]),
        bool(unread),
        messages,
        speed or 0.0,
    )


def conversations(database: sqlite3.Connection, where: str, values: Iterable[object] = ()) -> list[Conversation]:
    """The ones that are not deleted and `where` holds for."""
    sql = f"SELECT {CONVERSATION} FROM conversations WHERE deleted_at IS NULL AND {where}"
    return [conversation_of(row) for row in database.execute(sql, tuple(values))]


def messages(database: sqlite3.Connection, conversation_id: int) -> list[StoredMessage]:
    sql = f"SELECT {_MESSAGE} FROM messages WHERE conversation_id = ? ORDER BY id"
    return [_message_of(row) for row in database.execute(sql, (conversation_id,))]


def _message_of(row: tuple[Any, ...]) -> StoredMessage:
    calls, attachments = row[14:16]
    return StoredMessage(
        *row[:8],
        timings=Timings(*row[16:]),
        parent_id=row[8],
        tool_name=row[9],
        tool_call_id=row[10],
        dropped_messages=row[11],
        cut_tokens=row[12],
        context_total=row[13],
        tool_calls=() if calls == "[]" else from_json(calls, tuple[ToolCall, ...]),
        attachments=() if attachments == "[]" else from_json(attachments, tuple[Attachment, ...]),
    )


def add_message(database: sqlite3.Connection, new: NewMessage) -> int:
    """A message is added, and unless it waits, the branch that is shown ends with it."""
    sql = (
        "INSERT INTO messages (conversation_id, parent_id, role, content, status, model, created_at,"
        " tool_name, tool_call_id, attachments) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    parent_id = new.parent_id
    if parent_id == BEHIND_HEAD:
        head = "SELECT head_id FROM conversations WHERE id = ?"
        parent_id = None if new.status == "queued" else database.execute(head, (new.conversation_id,)).fetchone()[0]
    values = (
        *(new.conversation_id, parent_id, new.role, new.content, new.status, new.model, new.created_at),
        *(new.tool_name, new.tool_call_id, to_json(new.attachments)),
    )
    row_id = insert(database, sql, values)
    head = "" if new.status == "queued" else f", head_id = {row_id}"
    sql = f"UPDATE conversations SET updated_at = ?{head} WHERE id = ?"
    database.execute(sql, (new.created_at, new.conversation_id))
    return row_id


def save_message(database: sqlite3.Connection, message: StoredMessage) -> None:
    timings = message.timings
    values = (
        *(message.content, message.thinking, message.status, message.note, message.parent_id),
        *(to_json(message.tool_calls), message.dropped_messages, message.cut_tokens, message.context_total),
        *(timings.prompt_tokens, timings.prompt_ns, timings.tokens, timings.tokens_ns),
        *(timings.load_ns, timings.first_token_ns, timings.thinking_ns),
    )
    sql = f"UPDATE messages SET ({_CHANGING}) = ({', '.join('?' * len(values))}) WHERE id = ?"
    database.execute(sql, (*values, message.id))


def withdraw(database: sqlite3.Connection, message_ids: tuple[int, ...]) -> None:
    for message_id in sorted(message_ids, reverse=True):
        sql = "UPDATE conversations SET head_id = (SELECT parent_id FROM messages WHERE id = ?) WHERE head_id = ?"
        database.execute(sql, (message_id, message_id))
        database.execute("DELETE FROM messages WHERE id = ?", (message_id,))
