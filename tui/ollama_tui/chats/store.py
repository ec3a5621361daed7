"""`ChatStore`: conversations, messages, drafts and attached files in one SQLite file.

All SQL runs in one thread of its own, in the order it was asked for; callers await it. Every method raises
StoreError where the file cannot be read or written.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from ollama_engine.errors import StoreError
from ollama_tui.chats import rows, transfer
from ollama_tui.chats.records import Attachment, ChatSettings, Conversation, Found, Status, StoredMessage
from ollama_tui.chats.rows import BEHIND_HEAD, NewMessage, to_json
from ollama_tui.chats.schema import open_database, purge
from ollama_tui.chats.search import search

R = TypeVar("R")


class ChatStore:
    """Opens its file on first use. `parent_id` is the message before: edits and further answers are branches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chats")
        self._database: sqlite3.Connection | None = None
        self._closed = False

    # Conversations

    async def conversations(self, limit: int = 1000) -> list[Conversation]:
        """The ones last touched first."""
        order = "1 ORDER BY updated_at DESC, id DESC LIMIT ?"
        return await self._run(lambda database: rows.conversations(database, order, (limit,)))

    async def latest(self) -> Conversation | None:
        found = await self.conversations(1)
        return found[0] if found else None

    async def conversation(self, conversation_id: int) -> Conversation | None:
        found = await self._run(lambda database: rows.conversations(database, "id = ?", (conversation_id,)))
        return found[0] if found else None

    async def search(self, words: str, limit: int = 200) -> list[Found]:
        """Messages of all conversations that hold these words, the best first."""
        return await self._run(lambda database: search(database, words, limit))

    async def start(self, model: str, draft: str, now: float, *, title: str = "") -> int:
        """A new conversation; its id."""
        sql = "INSERT INTO conversations (model, draft, title, updated_at) VALUES (?, ?, ?, ?)"
        return await self._run(lambda database: rows.insert(database, sql, (model, draft, title, now)))

    async def save_draft(
        self, conversation_id: int, model: str, draft: str, now: float, attachments: tuple[Attachment, ...] = ()
    ) -> None:
        """Keep the words not yet sent, the files that go along, and the model they are meant for."""
        sql = "UPDATE conversations SET model = ?, draft = ?, updated_at = ?, attachments = ? WHERE id = ?"
        await self._execute(sql, model, draft, now, to_json(attachments), conversation_id)

    async def save_title(self, conversation_id: int, title: str) -> None:
        await self._execute("UPDATE conversations SET title = ? WHERE id = ?", title, conversation_id)

    async def save_settings(self, conversation_id: int, settings: ChatSettings) -> None:
        sql = "UPDATE conversations SET settings = ? WHERE id = ?"
        await self._execute(sql, to_json(settings), conversation_id)

    async def save_head(self, conversation_id: int, head_id: int | None) -> None:
        """The branch that ends with this message is the one to show."""
        await self._execute("UPDATE conversations SET head_id = ? WHERE id = ?", head_id, conversation_id)

    async def save_unread(self, conversation_id: int, unread: bool) -> None:
        await self._execute("UPDATE conversations SET unread = ? WHERE id = ?", unread, conversation_id)

    async def delete(self, conversation_id: int, now: float) -> None:
        """Hide a conversation; `undelete` brings it back for a month."""
        await self._execute("UPDATE conversations SET deleted_at = ? WHERE id = ?", now, conversation_id)

    async def undelete(self) -> Conversation | None:
        """Bring back the conversation that was deleted last; None where there is none."""
        return await self._run(_undelete)

    async def purge(self, now: float) -> None:
        """Forget for good what was deleted a month ago, and files that nothing has any more."""
        await self._run(lambda database: purge(database, now))

    # Messages

    async def messages(self, conversation_id: int) -> list[StoredMessage]:
        """All messages of a conversation, of all branches, oldest first; `branch` is left to `MessageTree`."""
        return await self._run(lambda database: rows.messages(database, conversation_id))

    async def add_message(
        self,
        conversation_id: int,
        role: str,
        content: str,
        *,
        status: Status,
        model: str,
        now: float,
        parent_id: int | None = BEHIND_HEAD,
        tool_name: str = "",
        tool_call_id: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> int:
        """Add a message behind `parent_id`, or behind the end of the branch that is shown; its id.

        It becomes that end itself, unless it waits.
        """
        new = NewMessage(
            conversation_id, role, content, status, now, parent_id, model, tool_name, tool_call_id, attachments
        )
        return await self._run(lambda database: rows.add_message(database, new))

    async def save_message(self, message: StoredMessage) -> None:
        """Write all of a message that may change after it was added."""
        await self._run(lambda database: rows.save_message(database, message))

    async def withdraw(self, *message_ids: int) -> None:
        """Take messages back, newest first, as if they had not been sent."""
        await self._run(lambda database: rows.withdraw(database, message_ids))

    async def prompts(self, limit: int) -> list[str]:
        """What the user sent last, in all conversations, the oldest first."""
        sql = (
            "SELECT content FROM messages JOIN conversations ON conversations.id = conversation_id"
            " WHERE role = 'user' AND content <> '' AND deleted_at IS NULL ORDER BY messages.id DESC LIMIT ?"
        )
        return await self._run(lambda database: [row[0] for row in database.execute(sql, (limit,))][::-1])

    # Files

    async def add_file(self, data: bytes) -> str:
        """Keep what is in a file; the digest that finds it."""
        digest = await asyncio.to_thread(lambda: sha256(data).hexdigest())
        await self._execute("INSERT OR IGNORE INTO files (digest, data) VALUES (?, ?)", digest, data)
        return digest

    async def files(self, digests: Iterable[str]) -> dict[str, bytes]:
        """What is in the files with these digests; those that are not there are left out."""
        wanted = tuple(set(digests))
        return await self._run(lambda database: _files(database, wanted)) if wanted else {}

    # Copies and exports

    async def export(self, conversation_id: int, *, markdown: bool) -> bytes:
        """A conversation as a file: Markdown, or JSON that `add_document` reads. StoreError where it is gone."""
        conversation = await self.conversation(conversation_id)
        if conversation is None:
            raise StoreError(f"conversation {conversation_id} is gone", hint="Choose another one.")
        messages = await self.messages(conversation_id)
        if markdown:
            return transfer.to_markdown(conversation, messages).encode()
        files = await self.files(one.digest for message in messages for one in message.attachments)
        return await asyncio.to_thread(transfer.to_document, conversation, messages, files)

    async def add_document(self, data: bytes, now: float) -> int:
        """A conversation from an exported file; its id. InvalidRequest where it is none."""
        document = await asyncio.to_thread(transfer.from_document, data)
        return await self._run(lambda database: transfer.add_document(database, document, now))

    async def copy_branch(self, conversation: Conversation, path: tuple[StoredMessage, ...], now: float) -> int:
        """A conversation of its own with the messages of a branch; its id."""
        return await self._run(lambda database: transfer.copy_branch(database, conversation, path, now))

    # The file

    async def aclose(self) -> None:
        """Wait for what is being written, then close; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _execute(self, sql: str, *values: object) -> None:
        await self._run(lambda database: database.execute(sql, values))

    async def _run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        if self._closed:
            raise StoreError(f"the chat store {self.path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], R]) -> R:
        try:
            if self._database is None:
                self._database = open_database(self.path)
            return work(self._database)
        except (sqlite3.Error, OSError) as error:
            if self._database is not None and self._database.in_transaction:
                self._database.rollback()
            raise StoreError(
                f"cannot keep conversations in {self.path}: {error}",
                hint="Make room or move the file away; this conversation lives in memory until then.",
            ) from error

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _undelete(database: sqlite3.Connection) -> Conversation | None:
    sql = "SELECT id FROM conversations WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, id DESC LIMIT 1"
    row = database.execute(sql).fetchone()
    if row is None:
        return None
    database.execute("UPDATE conversations SET deleted_at = NULL WHERE id = ?", row)
    return rows.conversations(database, "id = ?", row)[0]


def _files(database: sqlite3.Connection, digests: tuple[str, ...]) -> dict[str, bytes]:
    marks = ", ".join("?" * len(digests))
    return dict(database.execute(f"SELECT digest, data FROM files WHERE digest IN ({marks})", digests))
