"""PS: the models in memory."""

from ollama_tui.panes.ps.pane import PSPane

__all__ = ["PSPane"]
