"""`RowTable`: a table of rows with keys that changes in place: a cell that stayed the same is not written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.coordinate import Coordinate
from textual.events import Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widgets import DataTable

from ollama_tui import actions
from ollama_tui.text import short_name

CellText = str | Text
"""A Text for one in colours."""


@dataclass(frozen=True)
class Column:
    """`width` in cells; `right` aligns figures; in a column of model `names` those too long keep their end."""

    key: str
    title: str
    width: int
    right: bool = False
    names: bool = False


class RowTable(DataTable[Text], inherit_bindings=False):
    """Rows are given whole, as texts by column key; only cells that differ from before are drawn.

    A row is sent to the terminal from its beginning to the last cell that has changed: columns of what changes often
    stand best at the left.

    Its bindings only move the cursor: what enter does is the pane's to say.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("list")]

    class Resized(Message):
        """There is other room for the columns than before: what stands beside the table came, went or changed."""

    def __init__(self, *, id: str) -> None:
        self._layout: tuple[Column, ...] = ()
        self._shown: dict[str, tuple[CellText, ...]] = {}
        self._writing_cells = False
        self._returning_to: str | None = None
        """The row that had the cursor before other columns were laid out, until the rows are shown again."""
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, show_header=True)

    def on_resize(self, event: Resize) -> None:
        self.post_message(self.Resized())

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def select(self, key: str) -> None:
        if key in self._shown:
            self.move_cursor(row=self.get_row_index(key))

    def action_first(self) -> None:
        self.move_cursor(row=0)

    def action_last(self) -> None:
        self.move_cursor(row=self.row_count - 1)

    def action_half_page_up(self) -> None:
        self._move_by(-self._half_page)

    def action_half_page_down(self) -> None:
        self._move_by(self._half_page)

    @property
    def _half_page(self) -> int:
        return max(1, (self.scrollable_content_region.height - self.header_height) // 2)

    def _move_by(self, rows: int) -> None:
        self.move_cursor(row=min(max(0, self.cursor_row + rows), self.row_count - 1))

    def lay_out(self, columns: Sequence[Column]) -> bool:
        """Take these columns; whether that changed anything (then the rows must be shown again)."""
        if tuple(columns) == self._layout:
            return False
        self._returning_to = self.selected or self._returning_to
        self.clear(columns=True)
        self._shown.clear()
        self._layout = tuple(columns)
        for column in columns:
            title = Text(column.title, justify="right" if column.right else "left", no_wrap=True)
            self.add_column(title, width=column.width, key=column.key)
        return True

    def show_rows(self, rows: Mapping[str, Mapping[str, CellText]]) -> None:
        """Show these rows, in this order. Order, and thus the cursor's row, is kept where nothing moved."""
        self._take_rows({key: tuple(row.get(column.key, "") for column in self._layout) for key, row in rows.items()})
        if self._returning_to is not None and self._shown:
            self.select(self._returning_to)
            self._returning_to = None

    def _take_rows(self, wanted: dict[str, tuple[CellText, ...]]) -> None:
        kept = [key for key in self._shown if key in wanted]
        if kept + [key for key in wanted if key not in self._shown] != list(wanted):
            self._refill(wanted)
            return
        for key in [key for key in self._shown if key not in wanted]:
            self.remove_row(key)
        for key, cells in wanted.items():
            self._show_row(key, cells)
        self._shown = wanted

    def _refill(self, wanted: dict[str, tuple[CellText, ...]]) -> None:
        selected = self.selected
        self.clear()
        self._shown.clear()
        for key, cells in wanted.items():
            self._show_row(key, cells)
        self._shown = wanted
        if selected is not None:
            self.select(selected)

    def _show_row(self, key: str, cells: tuple[CellText, ...]) -> None:
        before = self._shown.get(key)
        if before is None:
            self.add_row(*map(self._cell, self._layout, cells), key=key)
            return
        changed = [(column, new) for column, old, new in zip(self._layout, before, cells, strict=True) if old != new]
        if changed:
            self._write_cells(key, changed)

    def _write_cells(self, key: str, changed: Sequence[tuple[Column, CellText]]) -> None:
        self._writing_cells = True
        try:
            for column, text in changed:
                self.update_cell(key, column.key, self._cell(column, text))
        finally:
            self._writing_cells = False
        # One region, as all that stands before a cell is sent with it: two would be sent twice.
        first = self._get_cell_region(Coordinate(self.get_row_index(key), 0))
        last = self._get_cell_region(self.get_cell_coordinate(key, changed[-1][0].key))
        self._refresh_region(first.union(last))

    def render_line(self, y: int) -> Strip:
        """As DataTable's, but runs of one style are one: it has a segment for each cell, so that a click knows the
        column. Here a click is on a row."""
        strip = super().render_line(y)
        return Strip([_without_column(segment) for segment in strip], strip.cell_length).simplify()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """DataTable paints all of itself anew for one cell; here the cell alone is."""
        if self._writing_cells and not regions:
            return self
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _cell(self, column: Column, text: CellText) -> Text:
        justify = "right" if column.right else "left"
        if column.names:
            text = _short(text, column.width)
        if isinstance(text, str):
            return Text(text, justify=justify, no_wrap=True, overflow="ellipsis")
        cell = text.copy()
        cell.justify, cell.no_wrap, cell.overflow = justify, True, "ellipsis"
        return cell


def _short(name: CellText, width: int) -> CellText:
    if isinstance(name, str):
        return short_name(name, width)
    return name if name.cell_len <= width else Text(short_name(name.plain, width), name.style)


def _without_column(segment: Segment) -> Segment:
    text, style, control = segment
    if style is None or style.meta.get("row", -1) < 0:  # a header knows its column
        return segment
    row = Style.from_meta({"row": style.meta["row"], "column": 0})
    return Segment(text, style.clear_meta_and_links() + row, control)
