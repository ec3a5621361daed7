"""The details of the selected model, section by section: each is read when it is looked at."""

from __future__ import annotations

import asyncio
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.getters import query_one

from ollama_engine.errors import EngineError
from ollama_engine.types import MemoryPlan, ModelSummary
from ollama_tui.panes.library.details import facts, license_text, metadata, nothing, parameters, prompt
from ollama_tui.panes.library.layer_lines import layer_lines
from ollama_tui.panes.library.memory_lines import CACHE_TYPES, Wish, comparison, contexts, plan_lines
from ollama_tui.services import Services
from ollama_tui.text import one_line
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.reader import Reader
from ollama_tui.widgets.tab_line import TabLine

SECTIONS = {
    "model": "Model",
    "memory": "Memory",
    "layers": "Layers",
    "prompt": "Prompt",
    "params": "Params",
    "license": "License",
    "metadata": "Metadata",
}
MOMENT = 0.06
"""Seconds that a model must stay selected before the engine is asked about it."""


class DetailsView(Vertical):
    """`scroll` takes the focus, so that keys can scroll a long section."""

    section_line = query_one(TabLine)
    title = query_one("#library-details-title", Lines)
    scroll = query_one("#library-details-scroll", Reader)
    text = query_one("#library-details-text", Lines)

    def __init__(self, services: Services) -> None:
        super().__init__(id="library-details")
        self.services = services
        self.section = "model"
        self.wish = Wish()
        self._model: ModelSummary | None = None
        self._looked_at: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id="library-details-title")
        yield TabLine(SECTIONS)
        with Reader(id="library-details-scroll"):
            yield Lines(id="library-details-text")

    def show(self, model: ModelSummary | None) -> None:
        """Show this model; another one is shown from its beginning."""
        if model is None:
            self._model = self._looked_at = None
            self.title.show("")
            self.text.show("")
            return
        if self._model is None or model.name != self._model.name:
            self.scroll.scroll_home(animate=False)
            self.title.show(Content.styled(one_line(model.name), "$accent bold"))
        self._model = model
        update = self.services.library.view.value.updates.get(model.name)
        looked_at = (model.name, model.digest, self.section, self.wish, update)
        if looked_at != self._looked_at:
            self._looked_at = looked_at
            self.run_worker(partial(self._read, model, self.section), group="details", exclusive=True)

    def look_again(self) -> None:
        """What the engine says now, although nothing else is to be shown."""
        self._looked_at = None
        self.show(self._model)

    def turn(self, step: int) -> None:
        sections = list(SECTIONS)
        self.turn_to(sections[(sections.index(self.section) + step) % len(sections)])

    def turn_to(self, section: str) -> None:
        if section != self.section:
            self.section = self.section_line.current = section
            self.scroll.scroll_home(animate=False)
            self.show(self._model)

    def plan_for(self, wish: Wish) -> None:
        """Show the memory plan, made for this; it holds for the models that are looked at after, too."""
        self.wish = wish
        if self.section == "memory":
            self.show(self._model)
        else:
            self.turn_to("memory")

    @on(TabLine.Chosen)
    def _section_clicked(self, event: TabLine.Chosen) -> None:
        event.stop()
        self.turn_to(event.tab)

    async def _read(self, model: ModelSummary, section: str) -> None:
        await asyncio.sleep(MOMENT)
        try:
            match section:
                case "memory":
                    await self._read_plans(model)
                case "layers":
                    self.text.show(layer_lines(await self.services.library.layers(model.name)))
                case _:
                    await self._read_info(model, section)
        except EngineError as error:
            self.text.show(f"{one_line(error.message)}\n{one_line(error.hint)}")

    async def _read_info(self, model: ModelSummary, section: str) -> None:
        info = await self.services.library.details(model)
        match section:
            case "prompt":
                content = prompt(info)
            case "params":
                content = parameters(info)
            case "license":
                content = license_text(info)
            case "metadata":
                content = metadata(info)
            case _:
                content = facts(model, info, self.services.library.view.value.updates.get(model.name))
        self.text.show(content)

    async def _read_plans(self, model: ModelSummary) -> None:
        library = self.services.library
        plan = plan_lines(await library.plan(model, self.wish.options), self.wish)
        self.text.show(plan + nothing("\n\nother contexts…"))
        rows = contexts(model.details.context_length)
        plans: dict[tuple[int, str], MemoryPlan | None] = {}
        for context in rows:
            for kind in CACHE_TYPES:
                try:
                    plans[context, kind] = await library.plan(model, Wish(context, kind).options)
                except EngineError:  # a cache type that this model cannot have
                    plans[context, kind] = None
        self.text.show(plan + Content("\n\n") + comparison(plans, rows))
