"""The last line: the keys that do something here and now, most particular first, as many as fit."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget

from ollama_tui import actions
from ollama_tui.actions.keys import typed

HELP = actions.by_id("app.help").label


class KeyLine(Widget):
    """Follows the focus; keys that an input takes for typing are left out."""

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
        keymap = actions.in_force(self)
        typing = self.screen.focused
        active = {
            key: active.binding.id
            for key, active in self.screen.active_bindings.items()
            if active.enabled and (active.node is typing or not _is_typed_into(typing, key))
        }
        offered: list[tuple[str, str]] = []
        for action in actions.ACTIONS:
            key = next((key for key in keymap.of(action) if active.get(key) == action.id), None)
            if action.footer and key is not None and all(label != action.label for _, label in offered):
                offered.append((actions.key_name(key), action.label))
        return offered

    def render(self) -> Content:
        """As many keys as fit, in their order; the one that shows all of them always does."""
        parts = [
            (Content.styled(f" {key}", "$footer-key-foreground bold") + Content(f" {label} "), label == HELP)
            for key, label in self.keys
        ]
        room = self.size.width - sum(part.cell_length for part, kept in parts if kept)
        line = Content("")
        for part, kept in parts:
            if not kept:
                room -= part.cell_length
            if kept or room >= 0:
                line += part
        return line


def _is_typed_into(widget: Widget | None, key: str) -> bool:
    """Whether the key writes into the field that has the focus, before any binding above it sees it."""
    return widget is not None and widget.check_consume_key(key, typed(key) or None)
