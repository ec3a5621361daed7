"""Saved conversations: SQLite, each change written as it happens. Used by `services.conversations`."""

from __future__ import annotations

from ollama_tui.chats.records import Attachment, Conversation, Status, StoredMessage, Timings, ToolCall
from ollama_tui.chats.store import ChatStore

__all__ = ["Attachment", "ChatStore", "Conversation", "Status", "StoredMessage", "Timings", "ToolCall"]
