"""Markdown as lines for a terminal: which blocks a growing text has closed, and how each is drawn at a width."""

from ollama_tui.panes.chat.markdown.body import Body

__all__ = ["Body"]
