"""Saved conversations: SQLite, each change written as it happens. Used by `services.conversations`."""

from __future__ import annotations

from ollama_tui.chats.records import (
    Attachment,
    ChatSettings,
    Conversation,
    Found,
    Status,
    StoredMessage,
    Timings,
    ToolCall,
)
from ollama_tui.chats.store import ChatStore
from ollama_tui.chats.tree import MessageTree

__all__ = [
    "Attachment",
    "ChatSettings",
    "ChatStore",
    "Conversation",
    "Found",
    "MessageTree",
    "Status",
    "StoredMessage",
    "Timings",
    "ToolCall",
]
