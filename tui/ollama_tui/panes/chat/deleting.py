"""A conversation is deleted: asked about first, and brought back by a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ollama_engine.errors import EngineError
from ollama_tui import actions
from ollama_tui.text import one_line
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.pane import Part


def ask_delete(
    part: Part, number: int, title: str, then: Callable[[], Awaitable[None]], *, before_undo: str = ""
) -> None:
    """Delete conversation `number` where the user says so; `then` draws what is left.

    Args:
        before_undo: the key to press before the one that brings it back, "" where that works at once.
    """
    title = one_line(title)[:200] or "(empty)"
    keys = (before_undo, actions.in_force(part).name(f"{part.group}.undo"))
    way = f"{' '.join(key for key in keys if key)} brings it back"

    async def answer(yes: bool | None) -> None:
        if not yes:
            return
        try:
            await part.services.chats.delete(number)
        except EngineError as error:
            part.report(error)
        else:
            part.notify(f"Deleted: {title}. {way}.", markup=False)
        await then()

    text = f"{title}\n\nAn answer under way is stopped. {way}, for a month."
    part.app.push_screen(ConfirmScreen("Delete this conversation?", text, verb="deletes"), answer)
