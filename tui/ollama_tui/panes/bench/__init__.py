"""Bench: an honest empty state until its issue is built."""

from ollama_tui.panes.bench.pane import BenchPane

__all__ = ["BenchPane"]
