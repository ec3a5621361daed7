"""The text of a Modelfile: instructions in colour, faults underlined, completion by tab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.events import Key
from textual.theme import Theme
from textual.widgets import TextArea

from ollama_tui import actions
from ollama_tui.services.modelfiles import Checked

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)(?:\s+([A-Za-z_]+)(?=\s))?")
_KEYED = ("parameter", "message")
# One picture for one character: places in the line stay what they are.
_PICTURES = {code: 0x2400 + code for code in range(32) if code != 9} | {0x7F: 0x2421}
_HIDDEN = dict.fromkeys([*range(0x80, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)], "\ufffd")


class ModelfileArea(TextArea):
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("modelfile")]

    def __init__(self, text: str) -> None:
        super().__init__(
            text,
            id="modelfile",
            soft_wrap=True,
            show_line_numbers=True,
            highlight_cursor_line=False,
            compact=True,
        )
        self.cursor_blink = False
        self._checked = Checked()
        self._marks: dict[int, str] = {}
        self._colors: dict[str, Style] = {}
        self._offered: tuple[int, int, tuple[str, ...]] | None = None
        self._tried = -1

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, self._repaint)

    def _repaint(self, _theme: Theme) -> None:
        self._colors.clear()
        self._draw_anew()

    def _draw_anew(self) -> None:
        self._line_cache.clear()
        self.refresh()

    async def _on_key(self, event: Key) -> None:
        keymap = actions.in_force(self)
        if any(event.key in keymap.of(action) for action in actions.of("editor", "modelfile")):
            event.prevent_default()  # the binding of this key answers, not TextArea

    def action_top(self) -> None:
        self.move_cursor((0, 0))

    def action_end(self) -> None:
        self.move_cursor(self.document.end)

    # Colours

    def show_checked(self, checked: Checked) -> None:
        """Mark the lines that have faults, and know those that are values."""
        marks: dict[int, str] = {}
        for finding in checked.findings:
            line = max(0, finding.line - 1)
            if marks.get(line) != "error":
                marks[line] = finding.severity
        if (marks, checked.inside) != (self._marks, self._checked.inside):
            self._marks, self._checked = marks, checked
            self._draw_anew()

    def get_line(self, line_index: int) -> Text:
        """The line as it is drawn: what a terminal would obey is a picture of itself."""
        line = self.document.get_line(line_index).translate(_PICTURES | _HIDDEN)
        text = Text(line, end="", no_wrap=True)
        if line_index in self._checked.inside:
            pass
        elif line.lstrip().startswith("#"):
            text.stylize(self._color("muted"))
        elif match := _INSTRUCTION.match(line):
            text.stylize(self._color("primary", bold=True), *match.span(1))
            if match[2] and match[1].lower() in _KEYED:
                text.stylize(self._color("accent"), *match.span(2))
        if mark := self._marks.get(line_index):
            text.stylize(self._color(mark, underline=True))
        return text

    def _color(self, name: str, *, bold: bool = False, underline: bool = False) -> Style:
        key = f"{name}{bold:d}{underline:d}"
        if key not in self._colors:
            color = self.app.theme_variables[name]
            self._colors[key] = Style(color=color, bold=bold or None, underline=underline or None)
        return self._colors[key]

    # Completion

    def offer(self, row: int, start: int, options: Sequence[str]) -> None:
        """What may stand from column `start` of the row on; the first is shown behind the cursor."""
        self._offered, self._tried = (row, start, tuple(options)), -1
        line, column = self.cursor_location
        typed = self.document.get_line(row)[start:column] if line == row else ""
        at_end = line == row and column == len(self.document.get_line(row))
        first = options[0] if options else ""
        self.suggestion = first[len(typed) :] if typed and at_end and first.startswith(typed) else ""

    def action_complete(self) -> None:
        """The longest beginning that all have in common; then one after the other."""
        if self._offered is None:
            return
        row, start, options = self._offered
        line, column = self.cursor_location
        if not options or line != row or column < start:
            return
        typed = self.document.get_line(row)[start:column]
        common = _common(options)
        if self._tried < 0 and len(options) > 1 and len(common) > len(typed):
            written = common
        else:
            self._tried = (self._tried + 1) % len(options)
            written = options[self._tried]
        self.replace(written, (row, start), (row, column), maintain_selection_offset=False)
        self.move_cursor((row, start + len(written)))

    @property
    def tries(self) -> bool:
        """Whether what stands at the cursor is one of several that tab goes through."""
        if self._offered is None or self._tried < 0 or len(self._offered[2]) < 2:
            return False
        row, start, options = self._offered
        line, column = self.cursor_location
        return line == row and self.document.get_line(row)[start:column] == options[self._tried]


def _common(options: Sequence[str]) -> str:
    """The longest beginning of all of them, whatever the case."""
    columns = zip(*(option.lower() for option in options), strict=False)
    length = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, columns))
    return options[0][:length]
