"""The tabs of a pane in one line, the shown one lit, and at its right end a word on what that tab shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


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
        for tab, title in self._tabs.items():
            line += Content.styled(f" {title} ", "$accent bold underline" if tab == self.current else "$muted")
        room = self.size.width - line.cell_length - 2
        note = self.note.truncate(max(0, room), ellipsis=True)
        return line + Content(" " * max(0, room - note.cell_length + 1)) + note

    def on_click(self, event: Click) -> None:
        edge = 0
        for tab, title in self._tabs.items():
            edge += len(title) + 2
            if event.x < edge:
                self.post_message(self.Chosen(tab))
                return
