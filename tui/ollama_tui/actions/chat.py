"""What Chat does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("chat.send", "enter", "send", "send", "Send the prompt", palette=False, editor=True),
    Action("chat.stop", "escape", "stop", "stop", "Stop the answer; what was written of it stays"),
    Action(
        "chat.newline",
        "shift+enter,ctrl+j,alt+enter",
        "newline",
        "new line",
        "Begin a new line in the prompt",
        footer=False,
        palette=False,
        editor=True,
    ),
    Action("chat.model", "ctrl+o", "pick_model", "model", "Choose the model that answers"),
    Action("chat.new", "ctrl+n", "new", "new", "Begin a new conversation"),
    Action("chat.conversations", "ctrl+l", "pick_conversation", "chats", "Open another conversation"),
    Action("chat.leave", "escape", "leave", "leave", "Leave the prompt: then 1-5 and q work", palette=False),
    Action("chat.write", "enter,i", "write", "write", "Go to the prompt"),
    Action("chat.up", "pageup", "read_up", "page up", "Read further up", footer=False, palette=False),
    Action("chat.down", "pagedown", "read_down", "page down", "Read further down", footer=False, palette=False),
    Action("chat.top", "ctrl+home", "top", "top", "Go to the oldest message shown", footer=False),
    Action("chat.end", "ctrl+end", "end", "end", "Go to the newest words and follow them", footer=False),
    Action("chat.previous", "up,k", "select(-1)", "previous", "Select the message before", footer=False, palette=False),
    Action("chat.next", "down,j", "select(1)", "next", "Select the next message", footer=False, palette=False),
    Action("chat.copy", "y", "copy", "copy", "Copy the selected message, as it was written"),
    Action("chat.copy_code", "c", "copy_code", "copy code", "Copy the last code in the selected message"),
    Action("chat.fold", "o", "fold", "unfold", "Show thinking, tool calls and results whole, or fold them"),
)
