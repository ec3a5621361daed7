"""Library: the models in the store."""

from ollama_tui.panes.library.pane import LibraryPane

__all__ = ["LibraryPane"]
