"""`FrameScreen`: the screen that the five panes are on."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.events import ScreenResume, ScreenSuspend
from textual.screen import Screen
from textual.widgets._toast import ToastRack

from ollama_tui import actions


class FrameScreen(Screen[None], inherit_bindings=False):
    """`-alone` hides all but the pane."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("screen")]

    @on(ScreenSuspend)
    def _leave_notifications_to_the_screen_above(self) -> None:
        """Each screen shows them: what is seen of this one around a dialog would show them a second time."""
        for rack in self.query(ToastRack):
            rack.display = False
            self._refresh_layout()  # Textual lays out only the screen on top

    @on(ScreenResume)
    def _show_notifications_again(self) -> None:
        for rack in self.query(ToastRack):
            rack.display = True
