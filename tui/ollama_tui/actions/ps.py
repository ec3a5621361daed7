"""What PS does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("ps.unload", "u", "unload", "unload", "Unload the selected model once its requests have ended"),
    Action("ps.load", "l", "load", "load", "Bring a model into memory", command="load", argument="MODEL"),
    Action("ps.keep", "t", "keep", "keep for", "Change how long the selected model stays"),
    Action("ps.pin", "p", "pin", "pin", "Keep the selected model in memory, or no longer"),
    Action("ps.requests", "tab,shift+tab", "requests", "requests", "Go to the requests, and back to the models"),
    Action("ps.cancel", "x", "cancel", "cancel", "Cancel the selected request; what it has said stays"),
    Action("ps.chat", "enter", "chat", "chat", "Chat with the selected model", palette=False),
    Action("ps.unload_all", "U", "unload_all", "unload all", "Unload every model once its requests have ended"),
    Action("ps.refresh", "r", "refresh", "refresh", "Ask what is in memory now", footer=False),
    Action("ps.every", "e", "every", "every", "Change how often PS asks", command="every", argument="SECONDS"),
)
