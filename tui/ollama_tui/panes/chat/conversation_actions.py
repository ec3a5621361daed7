"""What the Chat pane does with the conversation: its model, settings and name, files, deleting, and the list of all."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual import on

from ollama_engine.settings import Settings
from ollama_tui import actions, figures, suggestions
from ollama_tui.chats import ChatSettings
from ollama_tui.connect import HERE
from ollama_tui.panes.chat import files
from ollama_tui.panes.chat.chat_base import ChatBase
from ollama_tui.panes.chat.conversation_list import ConversationList
from ollama_tui.panes.chat.default_model import can_chat
from ollama_tui.panes.chat.deleting import ask_delete
from ollama_tui.panes.chat.picker import Choice
from ollama_tui.text import one_line
from ollama_tui.widgets.ask_screen import AskScreen

BESIDE = 110
"""From this width on, the list stands beside the conversation; below it, in its place."""


class ConversationActions(ChatBase):
    async def action_new(self) -> None:
        await self.attempt(self.services.chats.new(self.view.model))
        self.prompt.focus()

    def action_pick_model(self) -> None:
        view = self.services.library.view.value
        if not view.known:
            self.run_worker(self.services.library.refresh, group="refresh")
        loaded = {one.name for one in self.services.residency.view.value.running}
        choices = [
            Choice(model.name, one_line(model.name), _model_note(model.name, model.size, model.name in loaded))
            for model in view.models
            if can_chat(model)
        ]
        self.picker.ask("model", "Which model answers", choices, current=self.view.model)

    def action_settings(self) -> None:
        from ollama_tui.panes.chat.settings_screen import SettingsScreen

        session = self.session

        async def take(settings: ChatSettings | None) -> None:
            if settings is not None and settings != session.view.value.settings:
                await session.change_settings(settings)

        model = self.view.model
        learn = partial(self.services.chats.model_info, model)
        screen = SettingsScreen(
            self.view.settings,
            model,
            learn=learn,
            engine_options=self._engine_options(),
            template_problem=self.services.modelfiles.template_problem,
        )
        self.app.push_screen(screen, take)

    def _engine_options(self) -> dict[str, Any]:
        """What the settings say for every model, where it is this program's engine that answers."""
        settings = getattr(self.app, "settings", None)
        here = self.services.link.state.value.label == HERE
        return settings.options if here and isinstance(settings, Settings) else {}

    async def action_rename(self, name: str = "") -> None:
        session = self.session

        async def take(name: str | None) -> None:
            if name:
                await session.rename(name)

        if name:
            await take(name)
        else:
            self.app.push_screen(AskScreen("Name of the conversation", self.view.title), take)

    async def action_export(self, path: str = "") -> None:
        await self.attempt(self.session.save_draft())
        if not self.session.id:
            self.say("There is nothing to export yet.")
        elif path:
            await files.export(self, self.session.id, path)
        else:
            files.ask_export(self, self.session.id, self.view.title)

    async def action_import(self, path: str = "") -> None:
        if path:
            await files.read(self, path)
        else:
            files.ask_import(self)

    async def action_delete(self) -> None:
        await self.attempt(self.session.save_draft())
        if not self.session.id:
            self.say("There is nothing to delete yet.")
            return
        title = self.view.title or self.session.view.value.draft
        before = actions.in_force(self).name("chat.leave") if self.prompt.has_focus else ""
        ask_delete(self, self.session.id, title, self._reload_list, before_undo=before)

    async def _reload_list(self) -> None:
        if self.chats.display:
            await self.chats.reload()

    async def action_undo(self) -> None:
        found = await self.attempt(self.services.chats.undelete())
        if found is not None:
            await self.attempt(self.services.chats.show(found.id))
        else:
            self.say("Nothing was deleted.")

    # The list of all

    def action_conversations(self) -> None:
        """Open the list and go there; from within, close it."""
        if self.chats.display and self.chats.has_focus_within:
            self._close_list()
            return
        self.unzoom()
        self.chats.display = True
        self._arrange(self.size.width)
        self.chats.entered()
        self.chats.table.focus()

    def _close_list(self) -> None:
        self.chats.display = False
        self.chats.left()
        self._arrange(self.size.width)
        self.prompt.focus()

    def _arrange(self, width: int) -> None:
        self.set_class(self.chats.display and width >= BESIDE, "-beside")
        self.query_one("#chat-main").display = not self.chats.display or width >= BESIDE

    @property
    def has_beside(self) -> bool:
        return self.has_class("-beside") or self._list_waits

    def fit_in(self) -> None:
        """Zoomed, the list that stands beside the conversation is away until one is back."""
        if self.zoomed and self.has_class("-beside"):
            if self.chats.has_focus_within:
                self.transcript.focus(scroll_visible=False)
            self._list_waits = True
            self.chats.display = False
            self.chats.left()
        elif not self.zoomed and self._list_waits:
            self._list_waits = False
            self.chats.display = True
            self.chats.entered()
        self._arrange(self.size.width)

    @on(ConversationList.Opened)
    async def _open(self, event: ConversationList.Opened) -> None:
        self._select_later = event.message_id  # before it is drawn
        await self.attempt(self.services.chats.show(event.conversation_id, event.message_id))
        if self.size.width < BESIDE:
            self._close_list()
        else:
            self.prompt.focus()

    @on(ConversationList.Closed)
    def _list_closed(self) -> None:
        self._close_list()


def _model_note(name: str, size: int, loaded: bool) -> str:
    notes = (figures.size(size), "in memory" if loaded else "", "toy" if suggestions.is_toy(name) else "")
    return " · ".join(note for note in notes if note)
