"""The Discover tab: the catalog of models that can be had, whether they fit, and the way to pull them."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.containers import Horizontal, Vertical
from textual.getters import query_one
from textual.reactive import var
from textual.theme import Theme
from textual.widget import Widget
from textual.widgets import DataTable, Input

from ollama_engine.errors import EngineError
from ollama_engine.known_models import KnownModel, search
from ollama_tui import actions, figures
from ollama_tui.panes.library.discover_rows import COMING, INSTALLED, columns, details, in_order, row
from ollama_tui.services import Services
from ollama_tui.services.catalog import CatalogView
from ollama_tui.services.library import LibraryView
from ollama_tui.services.pulls import PullsView
from ollama_tui.text import one_line
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Part
from ollama_tui.widgets.reader import Reader
from ollama_tui.widgets.row_table import RowTable

BESIDE = 110
"""From this width on, details stand beside the table; below it they open under the table."""


class Discover(Part):
    """Its actions are the group `discover`."""

    DEFAULT_CSS = """
    Discover {
        #discover-filter { height: 1; display: none; background: $panel; padding: 0 1; }
        #discover-body { height: 1fr; }
        #discover-list { width: 1fr; height: 1fr; }
        #known-models { height: 1fr; }
        #discover-status { padding: 0 1; color: $muted; height: auto; }
        #discover-details {
            width: 2fr; height: 1fr; display: none; border-left: vkey $border-blurred; padding: 0 1 0 2;
            &:focus { border-left: vkey $border; }
        }
        #discover-details-text { height: auto; }
        &.-beside #discover-list { width: 3fr; }
        &.-under {
            #discover-body { layout: vertical; }
            #discover-list { width: 100%; height: 2fr; }
            #discover-details {
                width: 100%; height: 3fr; border-left: none; border-top: solid $border-blurred; padding: 0 1;
            }
        }
    }
    """
    group = "discover"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("discover")]

    table = query_one("#known-models", RowTable)
    filter_input = query_one("#discover-filter", Input)
    status = query_one("#discover-status", Lines)
    details_box = query_one("#discover-details", Reader)
    details_text = query_one("#discover-details-text", Lines)

    wanted_details: var[bool | None] = var(None)
    """What the user asked for; None is the default: shown where there is room beside the table."""
    order: var[str] = var("")
    descending: var[bool] = var(False)
    only_fitting: var[bool] = var(False)

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="discover")
        self._view = CatalogView()
        self._models: dict[str, KnownModel] = {}
        self._stored: set[str] = set()
        self._coming: set[str] = set()
        self._installed: set[str] = set()

    def compose(self) -> ComposeResult:
        yield Input(placeholder="words in the name, the note, the license; or a name to pull", id="discover-filter",
                    compact=True)  # fmt: skip
        with Horizontal(id="discover-body"):
            with Vertical(id="discover-list"):
                yield RowTable(id="known-models")
                yield Lines(id="discover-status")
            with Reader(id="discover-details", can_focus=False):
                yield Lines(id="discover-details-text")

    def on_mount(self) -> None:
        self.filter_input.cursor_blink = False
        self.follow(self.services.catalog.view, self._take, group="catalog")
        self.follow(self.services.library.view, self._mark_installed, group="installed")
        self.follow(self.services.pulls.view, self._mark_pulling, group="pulling")
        self.app.theme_changed_signal.subscribe(self, self._repaint)

    def entered(self) -> None:
        self.run_worker(self.services.catalog.refresh, group="refresh", exclusive=True)

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self) -> None:
        self.fit_in()

    # Drawing

    @on(RowTable.Resized)
    def _room_changed(self) -> None:
        self._draw()

    def _take(self, view: CatalogView) -> None:
        self._view = view
        self._models = {model.name: model for model in view.models}
        self._draw()
        self.refresh_bindings()

    def _mark_installed(self, view: LibraryView) -> None:
        stored = {_key(model.name) for model in view.models}
        if stored != self._stored:
            self._stored = stored
            self._draw()

    def _mark_pulling(self, view: PullsView) -> None:
        coming = {_key(pull.view.name) for pull in view.pulls if pull.active}
        if coming != self._coming:
            self._coming = coming
            self._draw()

    def _mark(self, name: str) -> str:
        return COMING if _key(name) in self._coming else INSTALLED if name in self._installed else ""

    def _draw(self) -> None:
        width = self.table.parent.size.width if isinstance(self.table.parent, Widget) else 0
        if not width:
            return
        self.table.lay_out(columns(width, self.order, descending=self.descending))
        self._installed = {name for name in self._models if _key(name) in self._stored}
        shown = self._shown()
        self.table.show_rows(
            {model.name: row(model, self._view.fit(model), self._mark(model.name), self._color) for model in shown}
        )
        self._draw_status(len(shown))
        self._draw_details()

    def _shown(self) -> list[KnownModel]:
        view = self._view
        found = search(self.filter_input.value) if self.filter_input.value.strip() else view.models
        if self.only_fitting:
            found = [model for model in found if view.fit(model) != "none"]
        return in_order(found, view, self.order, descending=self.descending)

    def _repaint(self, theme: Theme) -> None:
        self._draw()

    def _color(self, name: str) -> str:
        return Color.parse(self.app.theme_variables[name]).rich_color.name

    def _draw_status(self, shown: int) -> None:
        view, typed = self._view, self.filter_input.value.strip()
        if view.snapshot is None:
            text = "reading the catalog…"
        elif not shown and typed and _is_name(typed):
            text = f"Not in the catalog: {one_line(typed)}. Enter in the filter pulls it by that name; esc shows all."
        elif not shown:
            text = "No model of the catalog is like this; esc shows all."
        else:
            of = f"{shown} of {len(view.models)} models" if shown < len(view.models) else f"{shown} models"
            text = f"{of} as of {view.snapshot:%Y-%m-%d}. Any other one: type its name after /."
        self.status.show(text)

    def fit_in(self) -> None:
        beside = self.size.width >= BESIDE
        shown = (beside if self.wanted_details is None else self.wanted_details) and not self.zoomed
        if not shown and self.details_box.has_focus:
            self.table.focus()
        self.set_class(beside, "-beside")
        self.set_class(shown and not beside, "-under")
        self.details_box.display = self.details_box.can_focus = shown
        self.call_after_refresh(self._draw)

    def _draw_details(self) -> None:
        model = self._models.get(self.table.selected or "")
        if self.details_box.display:
            self.details_text.show("" if model is None else details(model, self._view, self._installed))

    # What the user does

    def watch_wanted_details(self) -> None:
        if self.is_mounted:
            self.fit_in()

    @on(DataTable.RowHighlighted, "#known-models")
    def _turn_to_row(self) -> None:
        self.details_box.scroll_home(animate=False)
        self._draw_details()

    @on(DataTable.RowSelected, "#known-models")
    def _row_clicked(self) -> None:
        self.action_pull()

    @on(Input.Changed, "#discover-filter")
    def _filter_typed(self) -> None:
        self._draw()
        self.refresh_bindings()

    @on(Input.Submitted, "#discover-filter")
    def _filter_done(self) -> None:
        typed = self.filter_input.value.strip()
        if not self.table.row_count and _is_name(typed):
            self._enqueue(typed)
        else:
            self.table.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        match action:
            case "clear":
                return bool(self.filter_input.display or self.order or self.only_fitting)
            case "pull" | "copy":
                return self.table.selected is not None
            case _:
                return True

    def action_filter(self) -> None:
        self.filter_input.display = True
        self.filter_input.focus()

    def action_clear(self) -> None:
        self.filter_input.value = self.order = ""
        self.descending = self.only_fitting = self.filter_input.display = False
        self.table.focus()
        self._draw()
        self.refresh_bindings()

    def action_details(self) -> None:
        self.wanted_details = not self.details_box.display
        self.unzoom()

    def action_fitting(self) -> None:
        self.only_fitting = not self.only_fitting
        self._draw()
        self.refresh_bindings()

    def action_sort(self, order: str) -> None:
        self.descending = self.order == order and not self.descending
        self.order = order
        self._draw()
        self.table.move_cursor(row=0)
        self.refresh_bindings()

    def action_copy(self) -> None:
        if name := self.table.selected:
            self.app.copy_to_clipboard(name)

    def action_pull(self) -> None:
        model = self._models.get(self.table.selected or "")
        if model is None:
            return
        memory = self._view.memory
        if self._view.fit(model) != "none" or memory is None:
            self._enqueue(model.name)
            return
        text = (
            f"It needs {figures.size(model.memory)} of memory, and there are {figures.size(memory.host)} of RAM"
            + (f" and {figures.size(memory.device)} on the GPU" if memory.device else "")
            + f". The download is {figures.size(model.download)}."
        )
        self.app.push_screen(
            ConfirmScreen(f"{model.name} does not fit", text, verb="pulls it all the same"),
            lambda yes: self._enqueue(model.name) if yes else None,
        )

    def _enqueue(self, name: str) -> None:
        self.run_worker(partial(self._pull, name), group="pull")

    async def _pull(self, name: str) -> None:
        try:
            await self.services.pulls.enqueue(name)
        except EngineError as error:
            self.report(error)
            return
        self.announce(f"{name} is in the queue of Pulls; press 2 to watch it.")


def _key(name: str) -> str:
    """What two ways to write a name have in common; the catalog's all have a tag."""
    last = name.rpartition("/")[2]
    return name.lower() if ":" in last else f"{name}:latest".lower()


def _is_name(text: str) -> bool:
    """Whether this may be a name to pull; the engine knows better."""
    return bool(text) and not any(map(str.isspace, text))
