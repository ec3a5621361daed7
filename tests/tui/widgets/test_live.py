"""What changes in place is sent in place: the terminal is told of the cells that differ, and of no others."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from ollama_tui.widgets.live_lines import LiveLines
from ollama_tui.widgets.row_table import Column, RowTable
from tests.support.workstation import screen_text


class Showing(App[None]):
    """One widget, and the regions of it that were asked to be painted."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


def painted(widget: Widget, change: Callable[[], object]) -> list[Region]:
    """The regions that `change` marks as dirty; the whole widget is one of its size."""
    widget._exchange_repaint_regions()
    change()
    return sorted(widget._exchange_repaint_regions())


async def test_lines_that_stay_the_same_are_not_sent() -> None:
    lines = LiveLines(id="lines")
    async with Showing(lines).run_test(size=(40, 10)) as pilot:
        lines.show([Content("load  12% of a processor"), Content("load  99% of a card"), Content("")])
        await pilot.pause()
        assert screen_text(pilot.app).splitlines()[1].startswith("load  99% of a card")
        shown = [Content("load  12% of a processor"), Content("load  47% of a card"), Content("")]
        assert painted(lines, lambda: lines.show(shown)) == [Region(0, 1, 8, 1)]
        await pilot.pause()
        assert screen_text(pilot.app).splitlines()[1].startswith("load  47% of a card")
        assert painted(lines, lambda: lines.show(shown)) == []
        red = [shown[0], Content.styled("load  47% of a card", "red"), Content("")]
        assert painted(lines, lambda: lines.show(red)) == [Region(0, 1, 19, 1)]


async def test_wide_characters_count_as_the_cells_they_take() -> None:
    lines = LiveLines(id="lines")
    async with Showing(lines).run_test(size=(40, 10)) as pilot:
        lines.show([Content("日本語 e\u0301 1")])
        await pilot.pause()
        assert painted(lines, lambda: lines.show([Content("日本語 e\u0301 2")])) == [Region(0, 0, 10, 1)]


async def test_a_line_that_is_too_long_is_cut_and_more_lines_make_it_taller() -> None:
    lines = LiveLines(id="lines")
    app = Showing(lines)
    async with app.run_test(size=(20, 10)) as pilot:
        lines.show([Content("x" * 50)])
        await pilot.pause()
        assert lines.size.height == 1
        assert screen_text(app).splitlines()[0] == "x" * 19 + "…"
        lines.show([Content("one"), Content("two")])
        await pilot.pause()
        assert lines.size.height == 2
        await pilot.resize_terminal(30, 10)
        await pilot.pause()
        assert screen_text(app).splitlines()[1].startswith("two")


async def test_colours_follow_the_theme() -> None:
    lines = LiveLines(id="lines")
    app = Showing(lines)
    async with app.run_test(size=(20, 10)) as pilot:
        lines.show([Content.styled("x", "$primary")])
        await pilot.pause()

        def color() -> object:
            (strip,) = lines.render_lines(Region(0, 0, 20, 1))
            style = next(iter(strip)).style
            return style and style.color

        before = color()
        app.theme = "gruvbox"
        await pilot.pause()
        assert color() != before


async def test_a_row_of_a_table_is_sent_up_to_what_has_changed() -> None:
    table = RowTable(id="table")
    async with Showing(table).run_test(size=(60, 10)) as pilot:
        table.lay_out([Column("name", "NAME", 10), Column("speed", "TOK/S", 6, right=True), Column("size", "SIZE", 6)])
        rows: dict[str, dict[str, str | Text]] = {
            key: {"name": key, "speed": "1.0", "size": "4 GB"} for key in ("one", "two")
        }
        table.show_rows(rows)
        await pilot.pause()
        rows["two"]["speed"] = Text.assemble(("2.0", "red"))
        # What stands before a cell goes with it (LiveLines says why), once for all cells of a row.
        assert painted(table, lambda: table.show_rows(rows)) == [Region(0, 2, 20, 1)]
        await pilot.pause()
        assert screen_text(pilot.app).splitlines()[2].split() == ["two", "2.0", "4", "GB"]
        assert painted(table, lambda: table.show_rows(rows)) == []


async def test_a_row_of_one_style_is_one_piece_and_a_click_selects_it() -> None:
    table = RowTable(id="table")
    async with Showing(table).run_test(size=(60, 10)) as pilot:
        table.lay_out([Column("name", "NAME", 10), Column("speed", "TOK/S", 6), Column("size", "SIZE", 6)])
        table.show_rows({key: {"name": key, "speed": "1.0", "size": "4 GB"} for key in ("one", "two", "three")})
        await pilot.pause()
        assert len(list(table.render_line(2))) <= 2
        await pilot.click(table, offset=(15, 3))
        await pilot.pause()
        assert table.selected == "three"
