"""The Chat pane: a transcript, a prompt editor, and a list to choose models and conversations from."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.getters import query_one
from textual.widget import Widget

from ollama_engine.errors import EngineError
from ollama_tui import actions, suggestions
from ollama_tui.panes.chat import status_text
from ollama_tui.panes.chat.conversation_actions import ConversationActions
from ollama_tui.panes.chat.conversation_list import ConversationList
from ollama_tui.panes.chat.default_model import default_model
from ollama_tui.panes.chat.message_actions import MessageActions
from ollama_tui.panes.chat.picker import Picker
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.panes.chat.prompt_actions import PromptActions
from ollama_tui.panes.chat.transcript import Transcript
from ollama_tui.panes.chat.waiting import waiting_text
from ollama_tui.services.chat_session import ChatSession, ChatView
from ollama_tui.services.conversations import Marks
from ollama_tui.services.library import LibraryView
from ollama_tui.services.residency import ResidencyView
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.advice import advice
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Part


class ChatPane(PromptActions, MessageActions, ConversationActions):
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("chat")]

    failure_line = query_one("#chat-failure", Lines)
    welcome = query_one("#chat-welcome", Lines)

    waiting_lines = query_one("#chat-waiting", Lines)

    def compose(self) -> ComposeResult:
        chats = ConversationList(self.services)
        chats.display = False
        yield chats
        with Vertical(id="chat-main"):
            with Vertical(id="chat-body"):
                yield Lines(id="chat-welcome")
                yield Transcript()
            yield Lines(id="chat-failure")
            yield Lines(id="chat-waiting")
            yield Picker()
            yield PromptEditor()

    def on_mount(self) -> None:
        self._memory = 0
        self._titled = ""
        self._answered_serial = self.services.chats.marks.value.answered_serial
        self._draft_serial = -1
        self._failure_serial = 0
        self._drawing = asyncio.Lock()
        self.follow(self.services.chats.shown, self._turn_to, group="shown")
        self.follow(self.services.library.view, self._offer_model, group="library")
        self.follow(self.services.residency.view, self._say_loading, group="residency")
        self.follow(self.services.chats.marks, self._tell_answered, group="answered")
        self.run_worker(self._restore, group="restore")
        self.run_worker(self._measure_memory, group="memory")
        if not self.services.library.view.value.known:
            self.run_worker(self.services.library.refresh, group="refresh")

    async def _restore(self) -> None:
        error = await self.services.chats.restore()
        if error is not None:
            self.report(error)

    async def _measure_memory(self) -> None:
        self._memory = await asyncio.to_thread(self.services.machine_memory)
        self._draw_welcome()

    def focus_target(self) -> Widget | None:
        return self.prompt if self.query_one("#chat-main").display else self.chats.table

    def acting(self) -> tuple[Part, ...]:
        return (self.chats, self) if self.chats.has_focus_within else (self,)

    async def turn_to(self, group: str) -> Part:
        if group != self.chats.group:
            return self
        if not self.chats.has_focus_within:
            self.action_conversations()
        return self.chats

    def on_resize(self, event: Resize) -> None:
        self._arrange(event.size.width)

    def _tell_answered(self, marks: Marks) -> None:
        if marks.answered_serial != self._answered_serial:
            self._answered_serial = marks.answered_serial
            self.announce(one_line(marks.answered), title="Answered")

    # Drawing

    async def _turn_to(self, session: ChatSession) -> None:
        async with self._drawing:
            self.session = session
            self._draft_serial = -1
            self._failure_serial = 0
            await self.transcript.clear()
        self._offer_model(self.services.library.view.value)
        self.follow(session.view, self._draw, group="session")

    async def _draw(self, view: ChatView) -> None:
        async with self._drawing:
            was_waiting, self.view = _is_waiting(self.view), view
            if _is_waiting(view) != was_waiting:
                self._poll_while(_is_waiting(view))
            if view.draft_serial != self._draft_serial:
                self._draft_serial = view.draft_serial
                self.prompt.put(view.draft)
            await self.transcript.show(view, self._waiting_text())
            if self._select_later in [one.id for one in view.messages]:
                self.transcript.selected, self._select_later = self._select_later, None
        self._draw_failure(view)
        self.prompt.prompts_wait = bool(view.queued)
        self._draw_waiting(view)
        self._draw_welcome()
        self._draw_model(view)
        self._offer_model(self.services.library.view.value)
        self.refresh_bindings()

    def _poll_while(self, waiting: bool) -> None:
        if waiting:
            self.services.residency.watch_for("chat")
        else:
            self.services.residency.done_with("chat")

    def _waiting_text(self) -> str:
        model = self.view.reply.model if self.view.reply else self.view.model
        return waiting_text(model, self.services.residency.view.value.running)

    async def _say_loading(self, view: ResidencyView) -> None:
        async with self._drawing:
            if _is_waiting(self.view):
                await self.transcript.show(self.view, self._waiting_text())

    def _draw_failure(self, view: ChatView) -> None:
        failure = view.failure
        self.failure_line.display = failure is not None
        if failure is None:
            self._failure_serial = 0
            return
        hint = f" {failure.error.hint}" if failure.error.hint else ""
        self.failure_line.show(f"✗ {one_line(failure.error.message)}.{one_line(hint) and ' ' + one_line(hint)}")
        if failure.serial != self._failure_serial:
            self._failure_serial = failure.serial
            if not self.display:  # who looks at it reads it above the prompt
                self.report(failure.error)

    def _draw_waiting(self, view: ChatView) -> None:
        lines = status_text.waiting(view, actions.in_force(self))
        self.waiting_lines.display = bool(lines)
        self.waiting_lines.show(lines)

    def _draw_model(self, view: ChatView) -> None:
        title = status_text.title(view, actions.in_force(self))
        if title != self._titled:  # to set it is to paint the whole prompt again
            self._titled = title
            self.prompt.border_title = Content(title)

    def _draw_welcome(self) -> None:
        empty = not self.view.messages and self.view.reply is None
        self.welcome.display = empty
        if not empty:
            return
        text = Content.styled("A new conversation\n\n", "$accent bold")
        keymap = actions.in_force(self)
        newline = " or ".join(keymap.names(actions.by_id("chat.newline")).split()[:2])
        text += Content(
            f"Write below; {keymap.name('chat.send')} sends, {newline} begins a new line, "
            f"{keymap.name('chat.model')} chooses the model."
        )
        if suggestions.is_toy(self.view.model):
            text += Content("\n\n") + advice(self._memory)
        self.welcome.show(text)

    def _offer_model(self, view: LibraryView) -> None:
        if not self.session.view.value.model and view.known:
            self.session.use_model(default_model(view.models, self.services.residency.view.value.running))

    # What the user does

    @on(PromptEditor.Paged)
    async def _paged(self, event: PromptEditor.Paged) -> None:
        await (self.action_read_up() if event.direction < 0 else self.action_read_down())

    @on(Transcript.LinkClicked)
    def _show_link(self, event: Transcript.LinkClicked) -> None:
        self.app.copy_to_clipboard(event.href)
        self.notify(f"Copied: {visible(event.href)}", markup=False)

    @on(Picker.Picked)
    def _picked(self, event: Picker.Picked) -> None:
        self.prompt.focus()
        if event.topic == "model":
            self.session.use_model(event.key)
        else:
            self.complete_with(event.key)

    @on(Picker.Closed)
    def _picker_closed(self) -> None:
        self.prompt.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        match action:
            case "stop":
                return self.session.busy
            case "leave":
                return self.prompt.has_focus
            case "write":
                return not self.prompt.has_focus
            case "select" | "walk" | "edit" | "regenerate" | "fork" | "copy" | "copy_code" | "fold":
                return not self.prompt.has_focus and bool(self.view.messages)
            case "result":
                return bool(self.view.pending_calls)
            case "take_back":
                return bool(self.view.queued)
            case "detach":
                return bool(self.view.attachments)
            case _:
                return True

    def action_stop(self) -> None:
        self.session.stop()

    def action_leave(self) -> None:
        self.transcript.focus(scroll_visible=False)

    def action_write(self) -> None:
        self.prompt.focus()

    async def offer_models(self, models: tuple[str, ...]) -> None:
        """Chat with the first: in the conversation at hand where it is empty or already with it, else in a new one."""
        model = models[0]
        await self._restore()
        session = self.services.chats.shown.value
        view = session.view.value
        if (view.messages or view.reply) and view.model != model:
            try:
                await self.services.chats.new(model)
            except EngineError as error:
                self.report(error)
        else:
            session.use_model(model)

    async def action_read_up(self) -> None:
        await self.transcript.action_read_up()

    async def action_read_down(self) -> None:
        self.transcript.action_read_down()

    def action_top(self) -> None:
        self.transcript.scroll_home(animate=False)

    def action_end(self) -> None:
        self.transcript.follow_end()


def _is_waiting(view: ChatView) -> bool:
    return view.reply is not None and view.reply.phase == "waiting"
