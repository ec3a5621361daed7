"""The form of a plan: models by marks, everything else by typing; what is typed is checked meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.strip import Strip
from textual.widgets import Checkbox, Input, SelectionList, Static
from textual.widgets.selection_list import Selection

from ollama_engine.bench import Plan
from ollama_engine.bench.plan import cells
from ollama_engine.errors import InvalidRequest
from ollama_tui import actions
from ollama_tui.panes.bench.plan_text import numbers, options_line, read_plan
from ollama_tui.text import one_line
from ollama_tui.widgets.dialog import Dialog

_HINTS = {
    "prompt": "tokens, as 128,512",
    "answer": "tokens, as 64",
    "at once": "requests, as 1,4,8",
    "rounds": "that count; 3 or more to compare",
    "warm-ups": "rounds before them",
    "loads": "times that each model is loaded",
    "options": "as num_ctx=4096,8192 kv_cache_type=f16,q8_0",
}


class _Models(SelectionList[str], inherit_bindings=False):
    """Its keys are the form's."""

    def move(self, step: int) -> bool:
        """Light another line; whether there is one."""
        place = (self.highlighted or 0) + step
        there = 0 <= place < self.option_count
        if there:
            self.highlighted = place
        return there

    def render_line(self, y: int) -> Strip:
        """As SelectionList's, whose button is the same for both but for its colour."""
        strip = super().render_line(y)
        place = self.scroll_offset.y + y
        if place >= self.option_count:
            return strip
        segments = list(strip)
        button, text = segments[:3], segments[3].style or Style.null()
        mark = _mark(self.get_option_at_index(place).value in self.selected)
        style = text + Style(meta=button[0].style.meta if button[0].style else {})
        return Strip([Segment(mark, style), *segments[3:]])


class _Choice(Checkbox, inherit_bindings=False):
    """Its keys are the form's."""

    @property
    def _button(self) -> Content:
        return Content(_mark(self.value))


def _mark(is_on: bool) -> str:
    """To be told without colours."""
    return "[x]" if is_on else "[ ]"


class PlanScreen(Dialog[Plan | None]):
    """Gives the plan to measure, or None where the user changed their mind."""

    DEFAULT_CSS = """
    PlanScreen {
        align: center middle;
        background: $background 60%;
        #plan-box {
            width: 76; max-width: 100%; height: auto; max-height: 100%;
            border: round $border; padding: 0 1; background: $surface;
        }
        SelectionList {
            height: auto; max-height: 7; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1;
        }
        #plan-fields { height: auto; }
        .plan-row { height: 1; }
        .plan-name { width: 10; color: $muted; }
        Input { width: 1fr; background: $panel; }
        Checkbox { background: $surface; border: none; padding: 0; height: 1; }
        #plan-note { color: $muted; height: auto; margin-top: 1; }
        #plan-note.wrong { color: $error; }
    }
    """
    groups = ("plan",)
    topic = "Plan"

    def __init__(self, plan: Plan, models: Sequence[str], *, verb: str) -> None:
        """`models` are those of the store; `verb` is what enter does."""
        super().__init__()
        self._plan = plan
        self._models = list(dict.fromkeys([*plan.models, *models]))
        self._verb = verb

    def compose(self) -> ComposeResult:
        plan = self._plan
        values = {
            "prompt": numbers(plan.prompts),
            "answer": numbers(plan.generates),
            "at once": numbers(plan.concurrencies),
            "rounds": str(plan.repeats),
            "warm-ups": str(plan.warmups),
            "loads": str(plan.loads),
            "options": options_line(plan.options),
        }
        with VerticalScroll(id="plan-box", can_focus=False) as box:
            box.border_title = "What to measure"
            box.border_subtitle = actions.in_force(self).hints(
                ("plan.mark", "marks models"), ("plan.take", self._verb), ("plan.leave", "leaves")
            )
            yield _Models(
                *(Selection(Content(one_line(name)), name, name in plan.models) for name in self._models),
                id="plan-models",
                compact=True,
            )
            with Vertical(id="plan-fields"):
                for name, value in values.items():
                    with Horizontal(classes="plan-row"):
                        yield Static(name, classes="plan-name", markup=False)
                        yield Input(value, id=_id(name), placeholder=_HINTS[name], compact=True, select_on_focus=True)
                yield _Choice(
                    "the same prompt each time, from the prefix cache", plan.warm, id="plan-warm", compact=True
                )
            yield Static("", id="plan-note", markup=False)

    def on_mount(self) -> None:
        for box in self.query(Input):
            box.cursor_blink = False
        self.query_one(_Models).focus()
        self._judge()

    def _read(self) -> Plan:
        order = self.query_one(_Models).selected
        models = tuple(name for name in self._models if name in order)
        fields = {name: self.query_one(f"#{_id(name)}", Input).value for name in _HINTS}
        return read_plan(models, fields, warm=self.query_one("#plan-warm", Checkbox).value)

    @on(Input.Changed)
    @on(SelectionList.SelectedChanged)
    @on(Checkbox.Changed)
    def _judge(self) -> None:
        note = self.query_one("#plan-note", Static)
        try:
            plan = self._read()
        except InvalidRequest as error:
            note.update(one_line(f"{error.message}. {error.hint}".removesuffix(". ")))
            note.add_class("wrong")
            return
        count = len(cells(plan))
        requests = sum(cell.concurrency for cell in cells(plan)) * (plan.repeats + plan.warmups)
        note.update(f"{count} {'measurement' if count == 1 else 'measurements'}, {requests} requests")
        note.remove_class("wrong")

    # What the user does

    def action_mark(self) -> None:
        match self.focused:
            case SelectionList() as models:
                models.action_select()
            case Checkbox() as choice:
                choice.toggle()
            case _:
                pass

    def action_go(self, step: int) -> None:
        """To the line below or above; beyond the last and the first model other fields follow."""
        if isinstance(self.focused, _Models) and self.focused.move(step):
            return
        if step > 0:
            self.focus_next()
        else:
            self.focus_previous()

    @on(Input.Submitted)
    def action_take(self) -> None:
        try:
            plan = self._read()
        except InvalidRequest:
            return  # the note says what is wrong
        self.dismiss(plan)

    def action_cancel(self) -> None:
        self.dismiss(None)


def _id(name: str) -> str:
    return f"plan-{name.replace(' ', '-')}"
