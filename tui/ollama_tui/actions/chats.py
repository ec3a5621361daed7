"""What the list of conversations in Chat does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("chats.open", "enter", "open", "open", "Open the selected conversation", palette=False),
    Action("chats.filter", "slash", "filter", "search", "Search titles, and what was said in all conversations"),
    Action("chats.rename", "r", "rename", "rename", "Give the selected conversation a name"),
    Action("chats.delete", "ctrl+d,delete", "delete", "delete", "Delete the selected conversation; z brings it back"),
    Action("chats.undo", "z,ctrl+z", "undo", "undo", "Bring back the conversation that was deleted last"),
    Action("chats.export", "w", "export", "export", "Write the selected conversation into a file: .md or .json"),
    Action("chats.import", "I", "import", "import", "Read a conversation from a .json file", footer=False),
    Action("chats.sort_date", "D", "sort('date')", "sort", "Sort by date; again: the other way round"),
    Action("chats.sort_speed", "S", "sort('speed')", "by speed", "Sort by tokens a second", footer=False),
    Action("chats.sort_title", "N", "sort('title')", "by name", "Sort by name", footer=False),
    Action("chats.close", "escape", "close", "close", "Show all again, or go back to the conversation", palette=False),
)
