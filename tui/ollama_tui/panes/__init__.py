"""The five panes, each made when it is first looked at."""

from __future__ import annotations

from ollama_tui.services import Services
from ollama_tui.widgets.pane import Pane

TITLES = {"library": "Library", "pulls": "Pulls", "ps": "PS", "chat": "Chat", "bench": "Bench"}

HOMES = {**{pane: pane for pane in TITLES}, "tabs": "library", "discover": "library", "chats": "chat"}
"""The pane that does the actions of a group."""


def make(pane_id: str, services: Services) -> Pane:
    """The pane of this id; its module is imported now, so that the first paint pays for one pane only."""
    match pane_id:
        case "library":
            from ollama_tui.panes.library import LibraryPane as Made
        case "pulls":
            from ollama_tui.panes.pulls import PullsPane as Made
        case "ps":
            from ollama_tui.panes.ps import PSPane as Made
        case "chat":
            from ollama_tui.panes.chat import ChatPane as Made
        case "bench":
            from ollama_tui.panes.bench import BenchPane as Made
        case _:
            raise ValueError(f"no pane '{pane_id}'")
    return Made(services)
