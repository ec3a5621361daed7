"""The list of conversations: marks of those that answer or have answered, a search over all that was said, sorting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize
from textual.getters import query_one
from textual.message import Message
from textual.widget import Widget
from textual.widgets import DataTable, Input

from ollama_engine.errors import EngineError
from ollama_tui import actions, figures
from ollama_tui.chats import Conversation, Found
from ollama_tui.chats.records import MARK, UNMARK
from ollama_tui.panes.chat.deleting import ask_delete
from ollama_tui.panes.chat.files import ask_export, ask_import
from ollama_tui.services import Services
from ollama_tui.services.conversations import Marks
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Part
from ollama_tui.widgets.row_table import Column, RowTable

Sort = Literal["date", "speed", "title"]
SEARCH_SECONDS = 0.15
_BLANKS = re.compile(r"\s+")
BUSY, UNREAD = "●", "•"
ROOM_FOR_TITLES, TITLE = 60, 20
"""From this width on, what was found says which conversation it is in, in so many cells at the most."""
_FIXED = 1 + 9 + 6 + 3 * 2 + 2
"""Cells of the columns beside the title, of what is between them, and of the scroll bar."""


class ConversationList(Part):
    """`Opened` and `Closed` tell the pane around it; everything else is done here."""

    BLANK = False
    group = "chats"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("chats")]

    table = query_one("#chats-table", RowTable)
    search_input = query_one("#chats-search", Input)
    status = query_one("#chats-status", Lines)

    @dataclass
    class Opened(Message):
        """A conversation to show, on the branch of `message_id` where that is given."""

        conversation_id: int
        message_id: int | None

    class Closed(Message):
        """The user goes back to the conversation."""

    def __init__(self, services: Services) -> None:
        super().__init__(services, id="chats")
        self._conversations: list[Conversation] = []
        self._found: list[Found] = []
        self._marks = Marks()
        self._sort: Sort = "date"
        self._backwards = False
        self._open = False

    def compose(self) -> ComposeResult:
        yield Input(placeholder="words in a title, or in anything that was said", id="chats-search", compact=True)
        yield RowTable(id="chats-table")
        yield Lines(id="chats-status")

    def on_mount(self) -> None:
        self.search_input.cursor_blink = False
        self.search_input.display = False
        self.follow(self.services.chats.marks, self._mark, group="marks")

    def entered(self) -> None:
        self._open = True
        self.run_worker(self.reload, group="reload", exclusive=True)

    def left(self) -> None:
        self._open = False

    def focus_target(self) -> Widget | None:
        return self.table

    def on_resize(self, event: Resize) -> None:
        self._draw()

    async def reload(self) -> None:
        """Read the list again, and search again where one searches."""
        words = self.search_input.value.strip()
        try:
            self._conversations = await self.services.chats.conversations()
            self._found = await self.services.chats.search(words) if words else []
        except EngineError as error:
            self.report(error)
        self._draw()

    async def _mark(self, marks: Marks) -> None:
        changed, self._marks = marks.serial != self._marks.serial, marks
        if self._open and changed:
            await self.reload()

    # Drawing

    def _draw(self) -> None:
        width = self.size.width
        if not width:
            return
        title = max(10, width - _FIXED - 2)
        self.table.lay_out(
            (
                Column("mark", "", 1),
                Column("title", f"Conversations{self._arrow('title')}", title),
                Column("age", f"when{self._arrow('date')}", 9, right=True),
                Column("speed", f"tok/s{self._arrow('speed')}", 6, right=True),
            )
        )
        shown = self._shown()
        rows = {f"c{one.id}": self._row(one) for one in shown}
        rows |= {f"m{one.message_id}": self._found_row(one) for one in self._found}
        selected = self.table.selected
        self.table.show_rows(rows)
        if selected is None and shown:
            self.table.select(f"c{self.services.chats.shown.value.id}")
        self._draw_status(len(shown))

    def _arrow(self, sort: Sort) -> str:
        """Behind the title of the column that rows are sorted by."""
        if sort != self._sort:
            return ""
        return "▲" if (sort == "title") != self._backwards else "▼"

    def _draw_status(self, shown: int) -> None:
        words = self.search_input.value.strip()
        if words:
            count = len(self._found)
            text = f"{shown} by name · {count} {'message' if count == 1 else 'messages'}"
        elif not shown:
            text = "No conversation yet: what you send begins one."
        else:
            text = f"{shown} conversations" if shown > 1 else "1 conversation"
        self.status.show(text)

    def _shown(self) -> Sequence[Conversation]:
        words = self.search_input.value.lower().split()
        found = [one for one in self._conversations if all(word in _title(one).lower() for word in words)]
        match self._sort:
            case "speed":
                found.sort(key=lambda one: one.speed, reverse=not self._backwards)
            case "title":
                found.sort(key=lambda one: _title(one).lower(), reverse=self._backwards)
            case _:
                found.sort(key=lambda one: one.updated_at, reverse=not self._backwards)
        return found

    def _row(self, one: Conversation) -> dict[str, str | Text]:
        busy = one.id in self._marks.busy
        return {
            "mark": BUSY if busy else UNREAD if one.unread else "",
            "title": Text(_title(one), style="bold" if one.unread else ""),
            "age": _age(self.services.clock() - one.updated_at),
            "speed": figures.per_second(one.speed) if one.speed else "",
        }

    def _found_row(self, one: Found) -> dict[str, str | Text]:
        text = Text("  ")
        if self.size.width >= ROOM_FOR_TITLES:
            text.append(f"{_title(one.conversation)[:TITLE].rstrip()}: ")
        for number, part in enumerate(one.snippet.replace(UNMARK, MARK).split(MARK)):
            text.append(visible(_BLANKS.sub(" ", part)), style="bold underline" if number % 2 else "")
        age = _age(self.services.clock() - one.conversation.updated_at)
        return {"mark": "", "title": text, "age": age, "speed": ""}

    # What the user does

    @on(Input.Changed, "#chats-search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._draw()
        self.set_timer(SEARCH_SECONDS, lambda: self._search(event.value))

    def _search(self, words: str) -> None:
        if words == self.search_input.value:
            self.run_worker(self.reload, group="reload", exclusive=True)

    @on(Input.Submitted, "#chats-search")
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    @on(DataTable.RowSelected, "#chats-table")
    def _clicked(self, event: DataTable.RowSelected) -> None:
        event.stop()
        self.action_open()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("open", "rename", "delete", "export") and self.is_mounted:
            return self._selected() is not None
        return True

    def _selected(self) -> tuple[Conversation, int | None] | None:
        """The conversation under the cursor, and the message where it is one that was found."""
        key = self.table.selected or ""
        if key.startswith("m"):
            found = next((one for one in self._found if one.message_id == int(key[1:])), None)
            return (found.conversation, found.message_id) if found else None
        one = next((one for one in self._conversations if f"c{one.id}" == key), None)
        return (one, None) if one else None

    def action_open(self) -> None:
        selected = self._selected()
        if selected is not None:
            self.post_message(self.Opened(selected[0].id, selected[1]))

    def action_filter(self) -> None:
        self.search_input.display = True
        self.search_input.focus()

    def action_close(self) -> None:
        if self.search_input.display:
            self.search_input.value = ""
            self.search_input.display = False
            self._found = []
            self.table.focus()
            self._draw()
        else:
            self.post_message(self.Closed())

    def action_sort(self, sort: Sort) -> None:
        self._backwards = not self._backwards if sort == self._sort else False
        self._sort = sort
        self._draw()

    async def _attempt(self, work: object) -> None:
        try:
            await work  # pyright: ignore[reportGeneralTypeIssues]
        except EngineError as error:
            self.report(error)
        await self.reload()

    def action_rename(self) -> None:
        selected = self._selected()
        if selected is None:
            return
        conversation = selected[0]

        async def take(title: str | None) -> None:
            if title is not None:
                await self._attempt(self.services.chats.rename(conversation.id, title))

        self.app.push_screen(AskScreen("Name of the conversation", conversation.title), take)

    def action_delete(self) -> None:
        selected = self._selected()
        if selected is not None:
            ask_delete(self, selected[0].id, _title(selected[0]), self.reload)

    async def action_undo(self) -> None:
        found = None
        try:
            found = await self.services.chats.undelete()
        except EngineError as error:
            self.report(error)
        else:
            self.notify(f"Back again: {_title(found)}" if found else "Nothing was deleted.", markup=False)
        await self.reload()
        if found is not None:
            self.table.select(f"c{found.id}")

    def action_export(self) -> None:
        selected = self._selected()
        if selected is not None:
            ask_export(self, selected[0].id, selected[0].title)

    def action_import(self) -> None:
        def turn_to_it() -> None:
            self.post_message(self.Opened(self.services.chats.shown.value.id, None))

        ask_import(self, turn_to_it)


def _title(one: Conversation) -> str:
    return one_line(one.title or one.draft)[:200] or "(empty)"


def _age(seconds: float) -> str:
    for size, name in ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return "now"
