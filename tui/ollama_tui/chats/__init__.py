"""Saved conversations: SQLite, each change written as it happens. Used by `services.conversations`."""

from __future__ import annotations

from ollama_tui.chats.records import Conversation, Status, StoredMessage, Timings
from ollama_tui.chats.store import ChatStore

__all__ = ["ChatStore", "Conversation", "Status", "StoredMessage", "Timings"]
