"""Which models an action takes: those named on the command line, the marked ones, or the selected one."""

from __future__ import annotations

from textual.getters import query_one

from ollama_engine.types import ModelSummary
from ollama_tui.services import Services, names
from ollama_tui.widgets.pane import Part
from ollama_tui.widgets.row_table import RowTable


class Chosen(Part):
    """`models` by name; those `shown`, in their order; the names of the `marked` ones."""

    table = query_one("#models", RowTable)

    def __init__(self, services: Services, *, id: str) -> None:
        super().__init__(services, id=id)
        self.models: dict[str, ModelSummary] = {}
        self.shown: list[ModelSummary] = []
        self.marked: set[str] = set()
        self._newest = ""
        """The name of a model that is about to be in the table, for the cursor to go to."""

    def draw_rows(self) -> None:
        """Draw the table anew."""

    def targets(self, given: str = "") -> list[ModelSummary]:
        """The models that an action takes: those named, else the marked ones that are shown, else the selected one."""
        if given:
            return self._named(given.split())
        marked = [model for model in self.shown if model.name in self.marked]
        selected = self.models.get(self.table.selected or "")
        return marked or ([selected] if selected is not None else [])

    def _named(self, words: list[str]) -> list[ModelSummary]:
        """The models of these names; none of them where one is not here, which is told."""
        by_name = {model.name.lower(): model for model in self.models.values()}
        found: list[ModelSummary] = []
        for word in words:
            name = word.lower()
            model = by_name.get(name) or by_name.get(f"{name}:latest")
            if model is None:
                self.app.notify(f"There is no model {word} here.", severity="warning", markup=False)
                return []
            found.append(model)
        return found

    def turn_to_new(self, name: str) -> None:
        """The cursor goes to the model of this name, now or as soon as it is there."""
        self._newest = name
        self._turn_to_newest()

    def _turn_to_newest(self) -> None:
        if not self._newest:
            return
        wanted = names.parse(self._newest)
        found = next((name for name in self.models if wanted.same(names.parse(name))), None)
        if found is not None:
            self._newest = ""
            self.table.select(found)

    def unmark(self) -> None:
        self.marked.clear()
        self._marks_changed()

    def _marks_changed(self) -> None:
        self.draw_rows()
        self.refresh_bindings()

    def action_mark(self) -> None:
        """Mark the selected one, or no longer, and go on to the next."""
        name = self.table.selected
        if name is not None:
            self.marked ^= {name}
            self._marks_changed()
            self.table.action_cursor_down()

    def action_mark_all(self) -> None:
        shown = {model.name for model in self.shown}
        self.marked = self.marked - shown if shown <= self.marked else self.marked | shown
        self._marks_changed()

    def action_bench(self) -> None:
        models = self.targets()
        if models:
            self.post_message(self.Wanted("bench", tuple(model.name for model in models)))

    def action_yank(self) -> None:
        models = self.targets()
        if models:
            self.app.copy_to_clipboard("\n".join(model.name for model in models))

    def one_target(self, given: str, rest: str) -> tuple[ModelSummary | None, str]:
        """A model and what follows its name in `given`; it is the selected one where nothing is given."""
        name, _, following = given.strip().partition(" ")
        models = self.targets(name)
        if not name and len(models) > 1:
            self.app.notify(f"{rest} takes one model at a time.", severity="warning", markup=False)
            return None, ""
        return (models[0] if models else None), following.strip()
