"""Full-text search over all conversations, in the store's thread."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from ollama_tui.chats.records import MARK, UNMARK, Found
from ollama_tui.chats.rows import CONVERSATION, conversation_of

SNIPPET_TOKENS = 16
_AROUND = 40
"""Characters on either side of what was found, where it is cut out here."""
_WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Scripts that put no blanks between words: SQLite takes a whole sentence for one."""


def search(database: sqlite3.Connection, words: str, limit: int) -> list[Found]:
    """Messages that hold all these words, or words that begin so, the best first."""
    wanted = [cleaned for word in words.split() if (cleaned := word.replace("\0", ""))]
    if not wanted:
        return []
    if any(_WITHOUT_BLANKS.search(word) for word in wanted):
        return _search_characters(database, wanted, limit)
    quoted = " ".join(f'''"{word.replace('"', '""')}"*''' for word in wanted)
    sql = (
        f"SELECT {CONVERSATION}, messages.id, snippet(words, 0, ?, ?, '…', {SNIPPET_TOKENS})"
        " FROM words JOIN messages ON messages.id = words.rowid"
        " JOIN conversations ON conversations.id = messages.conversation_id"
        " WHERE words MATCH ? AND deleted_at IS NULL ORDER BY rank, messages.id DESC LIMIT ?"
    )
    return [_found(row, row[-1]) for row in database.execute(sql, (MARK, UNMARK, quoted, limit))]


def _search_characters(database: sqlite3.Connection, wanted: list[str], limit: int) -> list[Found]:
    everywhere = " AND ".join("instr(lower(content), ?)" for _ in wanted)
    sql = (
        f"SELECT {CONVERSATION}, messages.id, content FROM messages"
        " JOIN conversations ON conversations.id = messages.conversation_id"
        f" WHERE {everywhere} AND deleted_at IS NULL ORDER BY messages.id DESC LIMIT ?"
    )
    rows = database.execute(sql, (*(word.lower() for word in wanted), limit))
    return [_found(row, _cut_out(row[-1], wanted[0])) for row in rows]


def _cut_out(text: str, word: str) -> str:
    at = text.lower().find(word.lower())
    begin, end = max(0, at - _AROUND), at + len(word) + _AROUND
    before, after = "…" if begin else "", "…" if end < len(text) else ""
    return f"{before}{text[begin:at]}{MARK}{text[at : at + len(word)]}{UNMARK}{text[at + len(word) : end]}{after}"


def _found(row: tuple[Any, ...], snippet: str) -> Found:
    return Found(conversation_of(row[:-2]), row[-2], snippet)
