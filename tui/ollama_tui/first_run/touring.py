"""`Touring`: the first run. Chat with the toy and a tour above it, until that is dismissed or they have talked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ollama_engine.errors import EngineError
from ollama_tui import suggestions
from ollama_tui.text import visible

if TYPE_CHECKING:
    from ollama_tui.app import Workstation

TOY = f"{suggestions.TOY}:latest"


class Touring:
    """Args:
    first_run: whether the tour is shown by itself.
    remember: keeps for the next time that it is not; may raise EngineError.
    look_around: what is on this machine already, in words, "" where there is nothing to tell.
    """

    def __init__(
        self,
        app: Workstation,
        *,
        first_run: bool,
        remember: Callable[[], None] | None = None,
        look_around: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._app = app
        self._remember = remember
        self._look_around = look_around
        self._notice = ""
        self.first_run = first_run

    def draw(self) -> None:
        """Again, where the keys or the pane have changed."""
        self._app.tour.draw(self._app.keymap, self._app.pane, self._notice)

    def begin(self) -> None:
        """Before the first paint."""
        if self.first_run:
            self.show()

    def show(self) -> None:
        self.draw()
        self._app.tour.shown = True

    def end(self) -> None:
        """Hide it, now and from now on."""
        self._app.tour.shown = False
        self._app.run_worker(self._keep, group="tour")

    async def follow(self) -> None:
        """After the first paint: go where the models are if the toy is not there, tell what else is, and end for good
        with the first conversation. The lines stay until they are hidden."""
        if not self.first_run:
            return
        await self._settle()
        if self._look_around is not None:
            self._notice = await self._look_around()
            self.draw()
        chats = self._app.services.chats
        async for marks in chats.marks.watch():
            if marks.busy or chats.shown.value.view.value.messages:
                break
        await self._keep()

    async def _settle(self) -> None:
        async for view in self._app.services.library.view.watch():
            if view.known or view.error is not None:
                break
        else:
            return
        if any(suggestions.is_toy(model.name) for model in view.models):
            return
        session = self._app.services.chats.shown.value
        chat = session.view.value
        if chat.messages or chat.reply is not None:
            return
        if view.known:
            session.use_model("")  # the pane offers one that is there
        if self._app.pane == "chat" and not session.draft:
            await self._app.action_pane("library")

    async def _keep(self) -> None:
        """The next start is as usual."""
        first, self.first_run = self.first_run, False
        if not first or self._remember is None:
            return
        try:
            await asyncio.to_thread(self._remember)
        except EngineError as error:
            text = f"The tour will be there again the next time, for that cannot be kept: {error.message}"
            self._app.notify(visible(text), severity="warning", markup=False)
