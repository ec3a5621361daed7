"""What lists, and the screens and lines that ask something, do."""

from __future__ import annotations

from ollama_tui.actions.action import Action


def _quiet(action_id: str, keys: str, call: str, label: str, help: str) -> Action:
    """One that neither the bottom line nor the palette needs to tell of."""
    return Action(action_id, keys, call, label, help, footer=False, palette=False)


ACTIONS: tuple[Action, ...] = (
    Action("settings.edit", "enter,e", "edit", "change", "Change the selected setting", palette=False),
    Action("settings.next", "space", "next_word", "next value", "Take the next of a setting's words", palette=False),
    Action(
        "settings.unset", "u,delete", "unset", "default", "Leave the selected setting to its default", palette=False
    ),
    Action("settings.filter", "slash", "filter", "filter", "Show only settings that have some words", palette=False),
    Action("settings.copy", "y", "copy", "copy", "Copy the setting as a variable", footer=False, palette=False),
    Action("settings.leave", "escape,q", "leave", "leave", "Go back to the panes", palette=False),
    _quiet("list.up", "up", "cursor_up", "up", "Go up a line"),
    _quiet("list.down", "down", "cursor_down", "down", "Go down a line"),
    _quiet("list.page_up", "pageup", "page_up", "page up", "Go up a page"),
    _quiet("list.page_down", "pagedown", "page_down", "page down", "Go down a page"),
    _quiet("list.half_up", "", "half_page_up", "half a page up", "Go up half a page"),
    _quiet("list.half_down", "", "half_page_down", "half a page down", "Go down half a page"),
    _quiet("list.first", "home", "first", "first", "Go to the first line"),
    _quiet("list.last", "end", "last", "last", "Go to the last line"),
    _quiet("confirm.yes", "enter,y", "answer(True)", "yes", "Do it"),
    _quiet("confirm.no", "escape,n,q", "answer(False)", "no", "Leave it"),
    _quiet("cancel.keep", "enter,k,y", "answer('keep')", "keep", "Cancel the pull; what came of it stays"),
    _quiet("cancel.remove", "r,d", "answer('remove')", "remove", "Cancel the pull and remove what came of it"),
    _quiet("cancel.leave", "escape,n,q", "answer('')", "leave", "Let the pull go on"),
    _quiet("choose.take", "enter", "take", "take", "Take the one that is lit"),
    _quiet("choose.leave", "escape,q", "cancel", "leave", "Leave all as it was"),
    _quiet("ask.take", "enter", "take", "take", "Take what was typed"),
    _quiet("ask.leave", "escape", "cancel", "leave", "Leave all as it was"),
    Action("text.take", "ctrl+s", "take", "take", "Take what was written", footer=False, palette=False, priority=True),
    Action(
        "text.leave", "escape", "cancel", "leave", "Leave all as it was", footer=False, palette=False, priority=True
    ),
    _quiet("picker.take", "enter", "take", "take", "Take the one that is lit"),
    _quiet("picker.up", "up", "move(-1)", "up", "Go up a line"),
    _quiet("picker.down", "down", "move(1)", "down", "Go down a line"),
    _quiet("picker.leave", "escape", "close", "leave", "Leave all as it was"),
    _quiet("command.take", "enter", "take", "take", "Do what stands on the command line"),
    _quiet("command.leave", "escape,ctrl+c", "cancel", "leave", "Leave the command line"),
    _quiet("command.complete", "tab", "complete(1)", "complete", "Complete the name, then go on to the next"),
    _quiet("command.complete_back", "shift+tab", "complete(-1)", "back", "Go back to the completion before"),
    _quiet("command.older", "up", "leaf(1)", "older", "Show the command typed before"),
    _quiet("command.newer", "down", "leaf(-1)", "newer", "Show the command typed after it"),
    Action("dialog.keys", "question_mark,ctrl+g", "keys", "keys", "Show these keys", palette=False),
    _quiet("keys.close", "escape,q,question_mark,enter", "close", "close", "Close the list of keys"),
)
