"""`Dialog`: a screen over the panes, which keeps the keys to itself while it is open."""

from __future__ import annotations

from typing import ClassVar

from textual.screen import ModalScreen, ScreenResultType

from ollama_tui import actions


class Dialog(ModalScreen[ScreenResultType]):
    """`groups` are those of its actions, from which its bindings are made; `?` shows their keys, headed by `topic`."""

    groups: ClassVar[tuple[str, ...]] = ()
    topic: ClassVar[str] = ""

    def __init_subclass__(cls, **keywords: object) -> None:
        """Its own bindings stand before those of all dialogs: on a key that both have, the first is asked first."""
        cls.BINDINGS = [binding for group in (*cls.groups, "dialog", "screen") for binding in actions.bindings(group)]
        super().__init_subclass__(inherit_bindings=False, **keywords)  # pyright: ignore[reportArgumentType]

    def action_keys(self) -> None:
        from ollama_tui.widgets.keys_screen import KeysScreen

        beside = [group for one in self.groups for group in actions.beside(one)]
        self.app.push_screen(KeysScreen((*self.groups, *beside), self.topic, everywhere=False))
