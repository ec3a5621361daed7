"""What the Library does: its list of models (`library`), and going from one of its tabs to another (`tabs`)."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("library.chat", "enter", "chat", "chat", "Chat with the selected model", palette=False),
    Action("library.details", "i", "details", "details", "Show or hide what is known of the selected model"),
    Action("library.filter", "slash", "filter", "filter", "Show only models whose name holds some words"),
    Action("library.refresh", "r", "refresh", "refresh", "Read the store again"),
    Action("library.clear", "escape", "clear_filter", "clear filter", "Show all models again", palette=False),
    # Modelfiles: the editor (actions/editor.py) opens over the pane.
    Action(
        "library.new",
        "n",
        "new",
        "new",
        "Write a Modelfile for a new model, from the selected one or the one that is named",
        command="create",
        argument="MODEL",
    ),
    Action(
        "library.edit",
        "e",
        "edit",
        "edit",
        "Edit the Modelfile of the selected model",
        command="edit",
        argument="MODEL",
    ),
    Action("tabs.next", "right_square_bracket", "tab(1)", "next tab", "Go to the next tab of this pane", palette=False),
    Action(
        "tabs.previous",
        "left_square_bracket",
        "tab(-1)",
        "last tab",
        "Go to the tab before",
        footer=False,
        palette=False,
    ),
)
