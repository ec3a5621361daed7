"""What works everywhere."""

from __future__ import annotations

from ollama_tui.actions.action import Action


def _pane(number: int, pane: str, label: str, help: str, command: str = "") -> Action:
    # Digits are text inside a prompt, and most terminals send alt+digit as a character: function keys go there.
    keys = f"{number},f{number}"
    return Action(f"app.{pane}", keys, f"pane('{pane}')", label, help, footer=False, command=command)


ACTIONS: tuple[Action, ...] = (
    _pane(1, "library", "Library", "Go to the models in the store", "library"),
    _pane(2, "pulls", "Pulls", "Go to the downloads", "pulls"),
    _pane(3, "ps", "PS", "Go to the models in memory", "ps"),
    _pane(4, "chat", "Chat", "Go to the conversation"),
    _pane(5, "bench", "Bench", "Go to the measurements", "bench"),
    Action("app.palette", "ctrl+p", "command_palette", "menu", "Search all commands", palette=False, priority=True),
    Action("app.command", "colon,f10", "command_line", "command", "Type a command by its name", palette=False),
    Action("app.help", "question_mark,ctrl+g", "keys", "keys", "Show the keys of this pane", command="help,keys"),
    Action("app.settings", "comma,f9", "settings", "settings", "Show and change settings", command="settings,config"),
    Action(
        "app.set",
        "",
        "set",
        "set",
        "Change a setting, or show it",
        footer=False,
        palette=False,
        command="set",
        argument="KEY VALUE",
    ),
    Action("app.quit", "q", "quit", "quit", "Quit; conversation and draft are kept", command="quit,q"),
    Action(
        "app.quit_anywhere",
        "ctrl+q",
        "quit",
        "quit",
        "Quit from anywhere, also out of a prompt",
        palette=False,
        priority=True,
    ),
    Action(
        "app.last_pane", "minus", "last_pane", "last pane", "Go back to the pane before", footer=False, command="back"
    ),
    Action("app.previous_pane", "ctrl+pageup", "step(-1)", "pane left", "Go to the pane at the left", footer=False),
    Action("app.next_pane", "ctrl+pagedown", "step(1)", "pane right", "Go to the pane at the right", footer=False),
    Action("app.zoom_in", "plus", "zoom(1)", "zoom", "More room: hide details, then all but the pane", footer=False),
    Action("app.zoom_out", "underscore", "zoom(-1)", "unzoom", "Show again what zooming has hidden", footer=False),
    Action(
        "app.back", "escape", "go_back", "back", "Go back: out of a field, out of zoom", footer=False, palette=False
    ),
    Action(
        "app.chat_with",
        "",
        "chat_with",
        "chat with",
        "Begin a conversation with a model",
        footer=False,
        palette=False,
        command="chat,run",
        argument="MODEL",
    ),
    Action(
        "app.theme",
        "f8",
        "theme",
        "theme",
        "Look through the themes, or use one",
        footer=False,
        command="theme",
        argument="THEME",
    ),
    Action(
        "app.keymap",
        "",
        "keymap",
        "keymap",
        "Use other keys, and read keymap.toml again",
        footer=False,
        palette=False,
        command="keymap",
        argument="KEYMAP",
    ),
    Action("app.tour", "", "tour", "tour", "Show three lines for who is new here", footer=False, command="tour"),
    Action("app.tour_end", "f6", "end_tour", "end tour", "Hide the tour, for good", footer=False, priority=True),
    Action(
        "app.interrupt",
        "ctrl+c",
        "interrupt",
        "copy",
        "Copy the selected text (ctrl+q quits)",
        footer=False,
        palette=False,
    ),
    Action("screen.next", "tab", "app.focus_next", "next field", "Go to the next field", footer=False, palette=False),
    Action(
        "screen.previous",
        "shift+tab",
        "app.focus_previous",
        "last field",
        "Go to the field before",
        footer=False,
        palette=False,
    ),
    Action("screen.copy", "ctrl+c", "copy_text", "copy", "Copy the selected text", footer=False, palette=False),
)
