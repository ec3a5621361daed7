"""Pulls: the queue of downloads."""

from ollama_tui.panes.pulls.pane import PullsPane

__all__ = ["PullsPane"]
