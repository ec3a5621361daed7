"""What works everywhere."""

from __future__ import annotations

from ollama_tui.actions.action import Action

# Digits are text inside a prompt, and most terminals send alt+digit as a character: function keys go to panes there.
ACTIONS: tuple[Action, ...] = (
    Action("app.library", "1,f1", "pane('library')", "Library", "Go to the models in the store", footer=False),
    Action("app.pulls", "2,f2", "pane('pulls')", "Pulls", "Go to the downloads", footer=False),
    Action("app.ps", "3,f3", "pane('ps')", "PS", "Go to the models in memory", footer=False),
    Action("app.chat", "4,f4", "pane('chat')", "Chat", "Go to the conversation", footer=False),
    Action("app.bench", "5,f5", "pane('bench')", "Bench", "Go to the measurements", footer=False),
    Action("app.palette", "ctrl+p", "command_palette", "menu", "Search all commands", palette=False, priority=True),
    Action("app.help", "question_mark,ctrl+g", "keys", "keys", "Show the keys of this pane"),
    Action("app.theme", "f8", "theme", "theme", "Choose the colours", footer=False, command="theme", argument="NAME"),
    Action("app.quit", "q", "quit", "quit", "Quit; conversation and draft are kept"),
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
        "app.interrupt",
        "ctrl+c",
        "interrupt",
        "copy",
        "Copy the selected text (ctrl+q quits)",
        footer=False,
        palette=False,
    ),
)
