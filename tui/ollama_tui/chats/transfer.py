"""Conversations as files: JSON with all of it, which can be read again, and Markdown for people. Also copies (forks).

The functions with a database run in the store's thread.
"""

from __future__ import annotations

import base64
import sqlite3
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal

import msgspec

from ollama_engine.errors import InvalidRequest
from ollama_tui.chats import rows
from ollama_tui.chats.records import Attachment, ChatSettings, Conversation, StoredMessage
from ollama_tui.chats.rows import BEHIND_HEAD, NewMessage, to_json
from ollama_tui.chats.tree import MessageTree

FORMAT = "ollama-tui conversation"


@dataclass(frozen=True)
class Document:
    """A conversation as JSON: every branch, `files` as base64 by digest. `head` is the end of the branch shown."""

    format: Literal["ollama-tui conversation"]
    version: Literal[1]
    model: str
    messages: tuple[StoredMessage, ...]
    title: str = ""
    head: int | None = None
    settings: ChatSettings = field(default_factory=ChatSettings)
    files: dict[str, str] = field(default_factory=dict)


def to_document(conversation: Conversation, messages: list[StoredMessage], files: dict[str, bytes]) -> bytes:
    """JSON to write into a file."""
    document = Document(
        FORMAT,
        1,
        conversation.model,
        tuple(message for message in messages if message.status != "queued"),
        conversation.title,
        conversation.head_id,
        conversation.settings,
        {digest: base64.b64encode(data).decode() for digest, data in files.items()},
    )
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def from_document(data: bytes) -> Document:
    """InvalidRequest where this is no conversation that was exported as JSON."""
    try:
        document = msgspec.json.decode(data, type=Document)
        known: set[int] = set()
        for message in document.messages:
            if message.parent_id is not None and message.parent_id not in known:
                raise ValueError(f"message {message.id} stands before the one that it answers")
            known.add(message.id)
            for call in message.tool_calls:
                msgspec.json.decode(call.arguments, type=dict)
        for text in document.files.values():
            base64.b64decode(text, validate=True)
    except (ValueError, msgspec.MsgspecError) as error:  # also what is no UTF-8
        raise InvalidRequest(f"this is no conversation exported as JSON: {error}") from error
    return document


def to_markdown(conversation: Conversation, messages: list[StoredMessage]) -> str:
    """The branch that is shown, for people."""
    parts = [f"# {' '.join(conversation.title.split()) or 'Conversation'}"]
    if conversation.settings.system:
        parts += ["## System", conversation.settings.system]
    path = MessageTree(one for one in messages if one.status != "queued").path(conversation.head_id)
    for message in path:
        parts += _in_markdown(message)
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _in_markdown(message: StoredMessage) -> list[str]:
    names = {"user": "You", "assistant": message.model, "tool": f"Result of {message.tool_name}"}
    parts = [f"## {names.get(message.role, message.role) or message.role}"]
    parts += [f"*{one.name}* ({one.kind}, {one.size} bytes)" for one in message.attachments]
    if message.thinking:
        thought = "\n".join(f"> {line}" for line in message.thinking.strip("\n").splitlines())
        parts.append(f"> *Thinking*\n>\n{thought}")
    parts += [message.content] if message.content else []
    parts += [f"`{call.name}({call.arguments})`" for call in message.tool_calls]
    parts += [f"*{message.note}*"] if message.note else []
    return parts


def add_document(database: sqlite3.Connection, document: Document, now: float) -> int:
    """A conversation from a file; its id."""
    digests: dict[str, str] = {}
    for name, text in document.files.items():
        data = base64.b64decode(text)
        digests[name] = sha256(data).hexdigest()
        database.execute("INSERT OR IGNORE INTO files (digest, data) VALUES (?, ?)", (digests[name], data))
    messages = [replace(one, attachments=_renamed(one.attachments, digests)) for one in document.messages]
    return _add(database, document.model, document.title, document.settings, messages, document.head, now)


def copy_branch(
    database: sqlite3.Connection, conversation: Conversation, path: tuple[StoredMessage, ...], now: float
) -> int:
    """A conversation of its own with these messages; its id."""
    head = path[-1].id if path else None
    return _add(database, conversation.model, conversation.title, conversation.settings, list(path), head, now)


def _add(
    database: sqlite3.Connection,
    model: str,
    title: str,
    settings: ChatSettings,
    messages: list[StoredMessage],
    head: int | None,
    now: float,
) -> int:
    sql = "INSERT INTO conversations (model, title, settings, updated_at) VALUES (?, ?, ?, ?)"
    database.execute("BEGIN IMMEDIATE")
    conversation_id = rows.insert(database, sql, (model, title, to_json(settings), now))
    ids: dict[int | None, int | None] = {None: None}
    for old in messages:
        new = NewMessage(
            *(conversation_id, old.role, old.content, old.status, old.created_at, ids[old.parent_id], old.model),
            *(old.tool_name, old.tool_call_id, old.attachments),
        )
        ids[old.id] = rows.add_message(database, new)
        rows.save_message(database, replace(old, id=ids[old.id] or BEHIND_HEAD, parent_id=ids[old.parent_id]))
    sql = "UPDATE conversations SET head_id = ?, updated_at = ? WHERE id = ?"
    database.execute(sql, (ids.get(head), now, conversation_id))
    database.execute("COMMIT")
    return conversation_id


def _renamed(attachments: tuple[Attachment, ...], digests: dict[str, str]) -> tuple[Attachment, ...]:
    return tuple(replace(one, digest=digests.get(one.digest, one.digest)) for one in attachments)
