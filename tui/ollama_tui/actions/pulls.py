"""What Pulls does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = ()
