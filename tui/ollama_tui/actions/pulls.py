"""What Pulls does."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "pulls.pull", "a,p", "pull", "pull", "Pull a model: a name, or a link to a .gguf file",
        command="pull", argument="MODEL",
    ),
    Action("pulls.pause", "space", "pause", "pause/go on", "Stop the selected pull (what came stays), or let it go on"),
    Action("pulls.retry", "r", "retry", "retry", "Try the selected pull again, from where it stopped"),
    Action("pulls.chat", "enter", "chat", "chat", "Chat with the selected model, once it is here", palette=False),
    Action("pulls.cancel", "x,ctrl+d,delete", "cancel", "cancel", "Take the selected pull off the queue"),
    Action("pulls.up", "K,shift+up", "move(-1)", "up", "Move the selected pull up: it runs sooner"),
    Action("pulls.down", "J,shift+down", "move(1)", "down", "Move the selected pull down"),
    Action(
        "pulls.limit", "l", "limit", "limit", "Limit how fast all pulls together may be",
        command="limit", argument="RATE",
    ),
    Action("pulls.clear", "c", "clear", "clear done", "Take the lines of what is done off the queue"),
    Action("pulls.pause_all", "P", "pause_all", "pause all", "Stop all pulls", footer=False),
    Action("pulls.resume_all", "R", "resume_all", "resume all", "Let all pulls go on that stand still", footer=False),
)  # fmt: skip
