"""Bench: what is measured now, what was measured before, and two runs compared."""

from ollama_tui.panes.bench.pane import BenchPane

__all__ = ["BenchPane"]
