"""Chat: a conversation with a model."""

from ollama_tui.panes.chat.pane import ChatPane

__all__ = ["ChatPane"]
