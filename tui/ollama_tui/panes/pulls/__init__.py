"""Pulls: an honest empty state until its issue is built."""

from ollama_tui.panes.pulls.pane import PullsPane

__all__ = ["PullsPane"]
