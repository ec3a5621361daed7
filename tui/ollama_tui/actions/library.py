"""What the Library does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("library.chat", "enter", "chat", "chat", "Chat with the selected model", palette=False),
    Action("library.details", "i", "details", "details", "Show or hide what is known of the selected model"),
    Action("library.filter", "slash", "filter", "filter", "Show only models whose name holds some words"),
    Action("library.refresh", "r", "refresh", "refresh", "Read the store again"),
    Action("library.clear", "escape", "clear_filter", "clear filter", "Show all models again", palette=False),
)
