"""The theme in use and those there are."""

from ollama_tui.appearance.appearance import Appearance

__all__ = ["Appearance"]
