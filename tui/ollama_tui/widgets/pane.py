"""`Pane`: what every pane is: one of five, with the App's services at hand and a place for the focus."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from ollama_engine.errors import EngineError
from ollama_tui.terminal.app import TerminalApp
from ollama_tui.text import visible

if TYPE_CHECKING:
    from ollama_tui.services import Latest, Services

T = TypeVar("T")


class Pane(Vertical):
    """The App tells a pane when it is looked at (`entered`) and when not (`left`); a hidden pane costs nothing."""

    BLANK = True
    pane_id: ClassVar[str]

    @dataclass
    class Wanted(Message):
        """The user wants to go on in another pane, with these models: the App shows it and calls `offer_models`."""

        pane_id: str
        models: tuple[str, ...]

    def __init__(self, services: Services) -> None:
        super().__init__(id=self.pane_id, classes="pane")
        self.services = services

    def entered(self) -> None:
        """The pane is shown now."""

    def left(self) -> None:
        """The pane is hidden now."""

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Another pane sent the user here with these models."""

    def focus_target(self) -> Widget | None:
        """What takes the focus when the pane is shown."""
        return None

    def follow(self, latest: Latest[T], draw: Callable[[T], Awaitable[None] | None], *, group: str) -> None:
        """Draw a service's snapshots for as long as this pane lives."""
        self.run_worker(_draw_each(latest.watch(), draw), group=group, exclusive=True)

    def announce(self, text: str, *, title: str = "") -> None:
        """Something that the user waited for is done: a notification, on the desktop where they look elsewhere."""
        if isinstance(self.app, TerminalApp):
            self.app.announce(text, title=title)
        else:
            self.app.notify(visible(text), title=visible(title), markup=False)

    def report(self, error: EngineError) -> None:
        """An error as a notification: what is wrong, and what to do."""
        text = visible(f"{error.message}\n{error.hint}" if error.hint else error.message)
        self.app.notify(text, severity="error", timeout=8, markup=False)


async def _draw_each(snapshots: AsyncIterator[T], draw: Callable[[T], Awaitable[None] | None]) -> None:
    async for snapshot in snapshots:
        drawn = draw(snapshot)
        if inspect.isawaitable(drawn):
            await drawn
