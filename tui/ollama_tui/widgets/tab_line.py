"""The tabs of a pane in one line, the shown one lit, and at its right end a word on what that tab shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


@dataclass
class Noted(Message):
    """A tab has a word to say on what it shows, for the end of the line."""

    tab: str
    note: Content


class TabLine(Widget):
    DEFAULT_CSS = """
    TabLine { height: 1; color: $muted; }
    """

    current: reactive[str] = reactive("")
    note: reactive[Content] = reactive(Content(""), always_update=True)

    @dataclass
    class Chosen(Message):
        """A tab was clicked."""

        tab: str

    def __init__(self, tabs: Mapping[str, str]) -> None:
        """`tabs` are the titles by their ids; the first is shown."""
        super().__init__()
        self._tabs = dict(tabs)
        self.set_reactive(TabLine.current, next(iter(self._tabs)))

    def render(self) -> Content:
        line = Content("")
        for tab in self._in_sight():
            style = "$accent bold underline" if tab == self.current else "$muted"
            line += Content.styled(f" {self._tabs[tab]} ", style)
        room = self.size.width - line.cell_length - 2
        note = self.note.truncate(max(0, room), ellipsis=True)
        return line + Content(" " * max(0, room - note.cell_length + 1)) + note

    def _in_sight(self) -> list[str]:
        """The tabs that there is room for: the first ones are left out until the current one is seen."""
        tabs = list(self._tabs)
        widths = {tab: len(title) + 2 for tab, title in self._tabs.items()}
        upto = tabs.index(self.current) + 1
        first = 0
        while first < upto - 1 and sum(widths[tab] for tab in tabs[first:upto]) > self.size.width:
            first += 1
        return tabs[first:]

    def on_click(self, event: Click) -> None:
        edge = 0
        for tab in self._in_sight():
            edge += len(self._tabs[tab]) + 2
            if event.x < edge:
                self.post_message(self.Chosen(tab))
                return
