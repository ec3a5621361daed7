"""The last line: the keys that do something here and now, most particular first, as many as fit."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from ollama_tui import actions


class KeyLine(Widget):
    """Follows the focus: Textual's active bindings already leave out the keys that an input takes for typing."""

    DEFAULT_CSS = """
    KeyLine { height: 1; dock: bottom; background: $footer-background; color: $footer-description-foreground; }
    """

    keys: reactive[tuple[tuple[str, str], ...]] = reactive(())

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._follow)
        self._follow(self.screen)

    def _follow(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.keys = tuple(self._offered())

    def _offered(self) -> list[tuple[str, str]]:
        ids = {key: active.binding.id for key, active in self.screen.active_bindings.items() if active.enabled}
        offered: list[tuple[str, str]] = []
        for action in actions.ACTIONS:
            key = next((key for key in actions.keys_of(action) if ids.get(key) == action.id), None)
            if action.footer and key is not None and all(label != action.label for _, label in offered):
                offered.append((actions.key_name(key), action.label))
        return offered

    def render(self) -> Content:
        line = Content("")
        for key, label in self.keys:
            part = Content.styled(f" {key}", "$footer-key-foreground bold") + Content(f" {label} ")
            if line.cell_length + part.cell_length > self.size.width:
                break
            line += part
        return line
