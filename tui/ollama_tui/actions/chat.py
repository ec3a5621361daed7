"""What Chat does: at the prompt, with the messages, with the conversation, in its settings."""

from __future__ import annotations

from ollama_tui.actions.action import Action

_PROMPT: tuple[Action, ...] = (
    Action("chat.send", "enter", "send", "send", "Send the prompt; while an answer is written it waits", palette=False,
           editor=True),
    Action("chat.newline", "shift+enter,ctrl+j,alt+enter", "newline", "new line", "Begin a new line in the prompt",
           footer=False, palette=False, editor=True),
    Action("chat.complete", "tab", "complete", "complete", "Complete a command that begins with a slash", footer=False,
           palette=False, editor=True),
    Action("chat.edit_outside", "ctrl+e", "edit_outside", "editor", "Write the prompt in $EDITOR", footer=False,
           palette=False, editor=True),
    Action("chat.earlier", "up", "cursor_up", "earlier",
           "In the first line: the prompt before; in an empty prompt: the one that waits", footer=False, palette=False,
           editor=True),
    Action("chat.later", "down", "cursor_down", "later", "In the last line: the prompt after", footer=False,
           palette=False, editor=True),
)  # fmt: skip

_CONVERSATION: tuple[Action, ...] = (
    Action("chat.stop", "escape", "stop", "stop", "Stop the answer; what was written of it stays"),
    Action("chat.model", "ctrl+o", "pick_model", "model", "Choose the model that answers"),
    Action("chat.new", "ctrl+n", "new", "new", "Begin a new conversation; the one shown goes on", command="new"),
    Action("chat.conversations", "ctrl+l", "conversations", "chats", "Go to the list of conversations, or leave it"),
    Action("chat.settings", "ctrl+s", "settings", "settings", "How answers are made: system prompt, options"),
    Action("chat.attach", "ctrl+t", "attach", "attach", "Send a file along: an image, a sound or a text",
           footer=False, command="attach", argument="PATH"),
    Action("chat.detach", "x", "detach", "detach", "Leave out the file attached last", footer=False),
    Action("chat.take_back", "u", "take_back", "take back", "Take the prompt that waits last back into the editor",
           footer=False),
    Action("chat.result", "ctrl+r", "result", "result", "Give the result of a tool that the model calls"),
    Action("chat.leave", "escape", "leave", "leave", "Leave the prompt: then 1-5 and q work", palette=False),
    Action("chat.write", "enter,i", "write", "write", "Go to the prompt"),
)  # fmt: skip

_MESSAGES: tuple[Action, ...] = (
    Action("chat.previous", "up,k", "select(-1)", "previous", "Select the message before", footer=False,
           palette=False),
    Action("chat.next", "down,j", "select(1)", "next", "Select the next message", footer=False,
           palette=False),
    Action("chat.edit", "e", "edit", "edit", "Say the selected prompt otherwise, as a branch beside it"),
    Action("chat.regenerate", "r", "regenerate", "again", "Answer once more, as a branch beside the selected answer"),
    Action("chat.branch_before", "left_square_bracket,left,h", "walk(-1)", "branch", "Show the branch before"),
    Action("chat.branch_after", "right_square_bracket,right,l", "walk(1)", "branch", "Show the branch after"),
    Action("chat.fork", "f", "fork", "fork", "Go on from the selected message in a new conversation"),
    Action("chat.copy", "y", "copy", "copy", "Copy the selected message, as it was written"),
    Action("chat.copy_code", "c", "copy_code", "copy code", "Copy the last code in the selected message", footer=False),
    Action("chat.fold", "o", "fold", "unfold", "Show thinking, tool calls and results whole, or fold them"),
    Action("chat.rename", "t", "rename", "title", "Give the conversation a name", footer=False,
           command="rename", argument="NAME"),
    Action("chat.export", "w", "export", "export", "Write the conversation into a file: .md, or .json to read again",
           footer=False, command="export", argument="PATH"),
    Action("chat.import", "I", "import", "import", "Read a conversation from a .json file", footer=False,
           command="import", argument="PATH"),
    Action("chat.delete", "ctrl+d", "delete", "delete", "Delete the conversation; z brings it back", footer=False),
    Action("chat.undo", "z,ctrl+z", "undo", "undo", "Bring back the conversation that was deleted last", footer=False),
    Action("chat.up", "pageup", "read_up", "page up", "Read further up", footer=False, palette=False),
    Action("chat.down", "pagedown", "read_down", "page down", "Read further down", footer=False, palette=False),
    Action("chat.top", "ctrl+home", "top", "top", "Go to the oldest message shown", footer=False),
    Action("chat.end", "ctrl+end", "end", "end", "Go to the newest words and follow them", footer=False),
)  # fmt: skip

_SETTINGS: tuple[Action, ...] = (
    Action("chat_settings.edit", "enter", "edit", "change", "Change the selected setting", footer=False,
           palette=False),
    Action("chat_settings.reset", "delete,backspace,x", "reset", "reset",
           "Take the selected setting back to what the model says", footer=False, palette=False),
    Action("chat_settings.filter", "slash", "filter", "filter", "Show only settings that have some letters",
           footer=False, palette=False),
    Action("chat_settings.leave", "escape,q,ctrl+s", "leave", "done", "Leave the filter, then the settings",
           footer=False, palette=False),
)  # fmt: skip

ACTIONS: tuple[Action, ...] = (*_PROMPT, *_CONVERSATION, *_MESSAGES, *_SETTINGS)
