"""What the Discover tab of the Library does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action("discover.pull", "enter", "pull", "pull", "Pull the selected model; it goes on in Pulls"),
    Action("discover.details", "i", "details", "details", "Show or hide what is known of the selected model"),
    Action(
        "discover.filter", "slash", "filter", "filter", "Show only models that have some words in their name or note"
    ),
    Action("discover.fitting", "f", "fitting", "fits only", "Show only models that this machine can run, or all"),
    Action("discover.sort_name", "N", "sort('name')", "sort", "Sort by name; again: the other way round"),
    Action("discover.sort_size", "S", "sort('size')", "by size", "Sort by download size", footer=False),
    Action("discover.sort_fit", "T", "sort('fit')", "by fit", "Sort by where they would run", footer=False),
    Action("discover.sort_params", "P", "sort('parameters')", "by parameters", "Sort by parameters", footer=False),
    Action("discover.sort_context", "C", "sort('context')", "by context", "Sort by context length", footer=False),
    Action("discover.copy", "y", "copy", "copy name", "Copy the name of the selected model", footer=False),
    Action("discover.clear", "escape", "clear", "show all", "Show all models again, in their own order", palette=False),
)
