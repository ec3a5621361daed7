"""`FrameScreen`: the screen that the five panes are on."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.screen import Screen

from ollama_tui import actions


class FrameScreen(Screen[None], inherit_bindings=False):
    """`-alone` hides all but the pane."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("screen")]
