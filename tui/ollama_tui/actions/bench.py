"""What Bench does (`bench`): what is measured, the history, two runs compared; and the form of a plan (`plan`)."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "bench.run",
        "r",
        "run",
        "measure",
        "Measure what is planned, or the models that are named",
        command="measure",
        argument="MODEL",
    ),
    Action("bench.stop", "s", "stop", "stop", "Stop measuring; what was measured is kept"),
    Action("bench.plan", "e", "plan", "plan", "Choose models, lengths, requests at once and options"),
    Action("bench.open", "enter", "open", "open", "Show the selected run", palette=False),
    Action("bench.mark", "space", "mark", "mark", "Mark the selected run, to compare it", palette=False),
    Action(
        "bench.compare", "c", "compare", "compare", "Compare the two marked runs, or a marked one with the selected"
    ),
    Action("bench.plot", "v", "plot", "plot", "Draw speed over time, or over requests at once"),
    Action(
        "bench.export",
        "x",
        "export",
        "export",
        "Write the run to a file: JSON, CSV, Markdown, SVG or PNG",
        command="export",
        argument="FILE",
    ),
    Action("bench.name", "n", "name", "name", "Give the run a name", footer=False),
    Action("bench.delete", "ctrl+d", "delete", "delete", "Take the selected run out of the history", footer=False),
    Action("bench.back", "escape", "back", "back", "Go back to what is measured", footer=False, palette=False),
    Action("plan.take", "enter", "take", "take", "Take the plan, and measure it", footer=False, palette=False),
    Action("plan.leave", "escape", "cancel", "leave", "Leave the plan as it was", footer=False, palette=False),
    Action(
        "plan.mark",
        "space",
        "mark",
        "mark",
        "Measure the model, or not; take a choice or not",
        footer=False,
        palette=False,
    ),
    Action("plan.next", "down", "go(1)", "down", "Go to the next line or field", footer=False, palette=False),
    Action("plan.previous", "up", "go(-1)", "up", "Go to the line or field before", footer=False, palette=False),
)
