"""The Chat pane: a transcript, a prompt editor, and a list to choose models and conversations from."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.getters import query_one
from textual.widget import Widget
from textual.widgets import TextArea

from ollama_engine.errors import EngineError
from ollama_tui import actions, figures, suggestions
from ollama_tui.panes.chat.default_model import can_chat, default_model
from ollama_tui.panes.chat.picker import Choice, Picker
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.panes.chat.transcript import Transcript
from ollama_tui.panes.chat.waiting import waiting_text
from ollama_tui.services.chat_session import ChatSession, ChatView
from ollama_tui.services.library import LibraryView
from ollama_tui.services.residency import ResidencyView
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.advice import advice
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pane import Pane


class ChatPane(Pane):
    pane_id = "chat"
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("chat")]

    transcript = query_one("#transcript", Transcript)
    prompt = query_one("#prompt", PromptEditor)
    picker = query_one("#picker", Picker)
    failure_line = query_one("#chat-failure", Lines)
    welcome = query_one("#chat-welcome", Lines)

    def compose(self) -> ComposeResult:
        yield Lines(id="chat-welcome")
        yield Transcript()
        yield Lines(id="chat-failure")
        yield Picker()
        yield PromptEditor()

    def on_mount(self) -> None:
        self._memory = 0
        self._titled = ""
        self._session = self.services.chats.shown.value
        self._view = ChatView()
        self._draft_serial = -1
        self._failure_serial = 0
        self._drawing = asyncio.Lock()
        self.follow(self.services.chats.shown, self._turn_to, group="shown")
        self.follow(self.services.library.view, self._offer_model, group="library")
        self.follow(self.services.residency.view, self._say_loading, group="residency")
        self.run_worker(self._restore(), group="restore")
        self.run_worker(self._measure_memory(), group="memory")
        if not self.services.library.view.value.known:
            self.run_worker(self.services.library.refresh(), group="refresh")

    async def _restore(self) -> None:
        error = await self.services.chats.restore()
        if error is not None:
            self.report(error)

    async def _measure_memory(self) -> None:
        self._memory = await asyncio.to_thread(self.services.machine_memory)
        self._draw_welcome()

    def focus_target(self) -> Widget | None:
        return self.prompt

    # Drawing

    async def _turn_to(self, session: ChatSession) -> None:
        async with self._drawing:
            self._session = session
            self._draft_serial = -1
            self._failure_serial = 0
            await self.transcript.clear()
        self._offer_model(self.services.library.view.value)
        self.follow(session.view, self._draw, group="session")

    async def _draw(self, view: ChatView) -> None:
        async with self._drawing:
            was_waiting, self._view = _is_waiting(self._view), view
            if _is_waiting(view) != was_waiting:
                self._poll_while(_is_waiting(view))
            if view.draft_serial != self._draft_serial:
                self._draft_serial = view.draft_serial
                self.prompt.text = view.draft
                self.prompt.move_cursor(self.prompt.document.end)
            await self.transcript.show(view, self._waiting_text())
        self._draw_failure(view)
        self._draw_welcome()
        self._draw_model(view)
        self.refresh_bindings()

    def _poll_while(self, waiting: bool) -> None:
        if waiting:
            self.services.residency.watch_for("chat")
        else:
            self.services.residency.done_with("chat")

    def _waiting_text(self) -> str:
        model = self._view.reply.model if self._view.reply else self._view.model
        return waiting_text(model, self.services.residency.view.value.running)

    async def _say_loading(self, view: ResidencyView) -> None:
        async with self._drawing:
            if _is_waiting(self._view):
                await self.transcript.show(self._view, self._waiting_text())

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
            self.report(failure.error)

    def _draw_model(self, view: ChatView) -> None:
        model = one_line(view.model) or "no model: ctrl+o chooses one"
        toy = " · a toy that babbles in Shakespeare's manner" if suggestions.is_toy(view.model) else ""
        if f"{model}{toy}" != self._titled:  # to set it is to paint the whole prompt again
            self._titled = f"{model}{toy}"
            self.prompt.border_title = Content(self._titled)

    def _draw_welcome(self) -> None:
        empty = not self._view.messages and self._view.reply is None
        self.welcome.display = empty
        if not empty:
            return
        text = Content.styled("A new conversation\n\n", "$accent bold")
        text += Content("Write below; enter sends, shift+enter or ctrl+j begins a new line, ctrl+o chooses the model.")
        if suggestions.is_toy(self._view.model):
            text += Content("\n\n") + advice(self._memory)
        self.welcome.show(text)

    def _offer_model(self, view: LibraryView) -> None:
        if not self._session.view.value.model and view.known:
            self._session.use_model(default_model(view.models, self.services.residency.view.value.running))

    # What the user does

    @on(TextArea.Changed, "#prompt")
    def _typed(self) -> None:
        self._session.edit_draft(self.prompt.text)

    @on(PromptEditor.Sent)
    def _sent(self, event: PromptEditor.Sent) -> None:
        if self._session.send(event.text):
            self.prompt.clear()
            self.transcript.follow_end()
        elif self._session.busy:
            self.notify("The answer is still being written; esc stops it.", markup=False)
        elif event.text.strip():
            self.action_pick_model()

    @on(PromptEditor.Paged)
    async def _paged(self, event: PromptEditor.Paged) -> None:
        await (self.action_read_up() if event.direction < 0 else self.action_read_down())

    @on(Transcript.LinkClicked)
    def _show_link(self, event: Transcript.LinkClicked) -> None:
        self.app.copy_to_clipboard(event.href)
        self.notify(f"Copied: {visible(event.href)}", markup=False)

    @on(Picker.Picked)
    async def _picked(self, event: Picker.Picked) -> None:
        self.prompt.focus()
        if event.topic == "model":
            self._session.use_model(event.key)
            return
        try:
            await self.services.chats.show(int(event.key))
        except EngineError as error:
            self.report(error)

    @on(Picker.Closed)
    def _picker_closed(self) -> None:
        self.prompt.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action == "stop":
            return self._session.busy
        if action == "leave":
            return self.prompt.has_focus
        if action in ("write", "copy", "copy_code", "fold", "select"):
            return not self.prompt.has_focus
        return True

    def action_stop(self) -> None:
        self._session.stop()

    def action_leave(self) -> None:
        self.transcript.focus(scroll_visible=False)

    def action_write(self) -> None:
        self.prompt.focus()

    async def action_new(self) -> None:
        try:
            await self.services.chats.new(self._view.model)
        except EngineError as error:
            self.report(error)
        self.prompt.focus()

    def action_pick_model(self) -> None:
        view = self.services.library.view.value
        if not view.known:
            self.run_worker(self.services.library.refresh(), group="refresh")
        loaded = {one.name for one in self.services.residency.view.value.running}
        choices = [
            Choice(model.name, one_line(model.name), _model_note(model.name, model.size, model.name in loaded))
            for model in view.models
            if can_chat(model)
        ]
        self.picker.ask("model", "Which model answers", choices, current=self._view.model)

    async def action_pick_conversation(self) -> None:
        try:
            conversations = await self.services.chats.conversations()
        except EngineError as error:
            self.report(error)
            return
        choices = [
            Choice(str(one.id), one_line(one.title or one.draft)[:60] or "(empty)", one_line(one.model))
            for one in conversations
        ]
        self.picker.ask("conversation", "Conversations", choices, current=str(self._session.id))

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

    def action_select(self, step: int) -> None:
        self.transcript.select(step)

    def action_fold(self) -> None:
        self.transcript.toggle_fold()

    def action_copy(self) -> None:
        self._copy(self.transcript.selected_text(), "message")

    def action_copy_code(self) -> None:
        self._copy(self.transcript.selected_code(), "code")

    def _copy(self, text: str, what: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)
            self.notify(f"Copied the {what}: {len(text)} characters.", markup=False)
        else:
            self.notify(f"There is no {what} to copy here.", markup=False)

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


def _model_note(name: str, size: int, loaded: bool) -> str:
    notes = (figures.size(size), "in memory" if loaded else "", "toy" if suggestions.is_toy(name) else "")
    return " · ".join(note for note in notes if note)
