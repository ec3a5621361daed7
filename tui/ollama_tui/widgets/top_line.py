"""The first line: the five panes with their keys, and where the engine is."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from ollama_tui import actions
from ollama_tui.services.link import LinkState
from ollama_tui.text import one_line

PANES = ("library", "pulls", "ps", "chat", "bench")


class TopLine(Widget):
    DEFAULT_CSS = """
    TopLine { height: 1; dock: top; background: $panel; color: $foreground; }
    """

    pane = reactive("library")
    link: reactive[LinkState] = reactive(LinkState("connecting", ""))

    def __init__(self, pane: str) -> None:
        super().__init__()
        self.set_reactive(TopLine.pane, pane)

    def render(self) -> Content:
        tabs = self._tabs()
        where = self._where()
        gap = self.size.width - tabs.cell_length - where.cell_length - 1
        if gap < 1:
            where = where.truncate(max(0, self.size.width - tabs.cell_length - 2), ellipsis=True)
            gap = max(1, self.size.width - tabs.cell_length - where.cell_length - 1)
        return tabs + Content(" " * gap) + where

    def _tabs(self) -> Content:
        parts: list[Content] = []
        for action in self._actions():
            here = action.id == f"app.{self.pane}"
            style = "$block-cursor-foreground on $block-cursor-background bold" if here else "$foreground"
            name = actions.in_force(self).name(action.id)
            key = Content.styled(f" {name} ", style if here else "$accent bold")
            parts.append(key + Content.styled(f"{action.label} ", style))
        return Content("").join(parts)

    def _where(self) -> Content:
        link = self.link
        label = one_line(link.label)
        if link.status == "connecting":
            return Content.styled(f"connecting to {label}…" if label else "connecting…", "$muted")
        if link.status == "offline":
            return Content.styled(f"✗ {label} does not answer", "$error")
        version = f" {one_line(link.version)}" if self.size.width >= 100 and link.version else ""
        return Content.styled("● ", "$success") + Content.styled(f"{label}{version}", "$muted")

    def _actions(self) -> list[actions.Action]:
        return [action for action in actions.of("app") if action.id.removeprefix("app.") in PANES]

    async def on_click(self, event: Click) -> None:
        edge = 0
        for action in self._actions():
            edge += len(action.label) + 3 + len(actions.in_force(self).name(action.id))
            if event.x < edge:
                await self.app.run_action(f"app.{action.call}")
                return
