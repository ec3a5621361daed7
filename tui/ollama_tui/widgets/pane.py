"""`Pane`: what every pane is: one of five, with the App's services at hand and a place for the focus.

A pane of several tabs is made of `Part`s, which can do what a pane can.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.containers import Vertical
from textual.message import Message
from textual.reactive import var
from textual.widget import Widget

from ollama_engine.errors import EngineError
from ollama_tui.terminal.app import TerminalApp
from ollama_tui.text import visible

if TYPE_CHECKING:
    from ollama_tui.services import Latest, Services

T = TypeVar("T")


class Part(Vertical):
    """A pane, or a tab of one. It is told when it is looked at (`entered`) and when not (`left`); what is hidden costs
    nothing. `group` is the first word of its actions' ids."""

    BLANK = True
    group: ClassVar[str]

    zoomed: var[bool] = var(False, init=False)
    """Whether only the main thing is shown, without what stands beside it."""

    class Unzoomed(Message):
        """The user wants to see something that zooming hid."""

    @dataclass
    class Wanted(Message):
        """The user wants to go on in another pane, with these models: the App shows it and calls `offer_models`."""

        pane_id: str
        models: tuple[str, ...]

    def __init__(self, services: Services, *, id: str, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.services = services

    def entered(self) -> None:
        """It is shown now."""

    def left(self) -> None:
        """It is hidden now."""

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Another pane sent the user here with these models."""

    def focus_target(self) -> Widget | None:
        """What takes the focus when it is shown."""
        return None

    @property
    def has_beside(self) -> bool:
        """Whether anything stands beside the main thing, or would if it were not zoomed."""
        return True

    def watch_zoomed(self, zoomed: bool) -> None:
        self.set_class(zoomed, "-zoomed")
        if self.is_mounted:
            self.fit_in()

    def fit_in(self) -> None:
        """Show what there is room for: zooming has begun or ended."""

    def unzoom(self) -> None:
        """Show again what zooming hid."""
        if self.zoomed:
            self.zoomed = False
            self.post_message(self.Unzoomed())

    def follow(self, latest: Latest[T], draw: Callable[[T], Awaitable[None] | None], *, group: str) -> None:
        """Draw a service's snapshots for as long as this lives."""
        self.run_worker(partial(_draw_each, latest.watch(), draw), group=group, exclusive=True)

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


class Pane(Part):
    pane_id: ClassVar[str]

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)  # pyright: ignore[reportArgumentType]
        if "group" not in cls.__dict__:
            cls.group = cls.pane_id

    def __init__(self, services: Services) -> None:
        super().__init__(services, id=self.pane_id, classes="pane")

    def acting(self) -> tuple[Part, ...]:
        """Whose actions are at hand now, most particular first: a tab before the pane that it is in."""
        return (self,)

    async def turn_to(self, group: str) -> Part:
        """Show what does the actions of `group` (one that this pane has), and say which part that is."""
        return next(part for part in self.acting() if part.group == group)


async def _draw_each(snapshots: AsyncIterator[T], draw: Callable[[T], Awaitable[None] | None]) -> None:
    async for snapshot in snapshots:
        drawn = draw(snapshot)
        if inspect.isawaitable(drawn):
            await drawn
