"""What the Chat pane does at the prompt: send, queue, attach files, history, commands, an editor outside."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from textual import on
from textual.widgets import TextArea

from ollama_engine.errors import EngineError
from ollama_engine.types import ModelSummary
from ollama_tui import slash
from ollama_tui.attachments import attach_files
from ollama_tui.panes.chat.attaching import check_capability, check_file, read_attachment
from ollama_tui.panes.chat.chat_base import ChatBase
from ollama_tui.panes.chat.external_editor import edit_outside
from ollama_tui.panes.chat.picker import Choice
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.panes.chat.slash_commands import COMMANDS, SlashCommands
from ollama_tui.paths import typed_path
from ollama_tui.widgets.ask_screen import AskScreen


class PromptActions(ChatBase):
    @on(TextArea.Changed, "#prompt")
    def _typed(self) -> None:
        self.session.edit_draft(self.prompt.text)

    @on(PromptEditor.Sent)
    async def _sent(self, event: PromptEditor.Sent) -> None:
        text = event.text
        if slash.is_command(text):
            if await SlashCommands(self).run(text):
                self.prompt.sent(text)
                self.prompt.clear()
            return
        if not self.view.model:
            if text.strip():
                await self.run_action("pick_model")
            return
        if self._takes_files():
            text = await self._take_files(text)
        if self.session.send(text):
            self.prompt.sent(text)
            self.prompt.clear()
            self.transcript.selected = None
            self.transcript.follow_end()

    def _model(self) -> ModelSummary | None:
        models = self.services.library.view.value.models
        names = (self.session.view.value.model, f"{self.session.view.value.model}:latest")
        return next((one for one in models if one.name in names), None)

    def _takes_files(self) -> bool:
        model = self._model()
        return model is not None and not {"vision", "audio"}.isdisjoint(model.capabilities)

    async def _take_files(self, text: str) -> str:
        """As in `run`: files that the prompt names go along with it."""
        try:
            found = await asyncio.to_thread(attach_files, text)
            for name in found.names:
                attachment, data = await asyncio.to_thread(read_attachment, typed_path(name.replace("\\", "")))
                await self.session.attach(attachment, data)
        except EngineError as error:
            self.report(error)
            return text
        return found.prompt

    # Files

    @on(PromptEditor.Pasted)
    async def _pasted(self, event: PromptEditor.Pasted) -> None:
        for path in event.paths:
            await self._attach_file(path)

    async def _attach_file(self, path: Path) -> None:
        try:
            attachment, data = await asyncio.to_thread(read_attachment, path)
            check_capability(attachment, self._model())
        except EngineError as error:
            self.report(error)
        else:
            await self.session.attach(attachment, data)

    async def action_attach(self, path: str = "") -> None:
        async def take(path: str | None) -> None:
            if path is not None:
                await self._attach_file(typed_path(path))

        if path:
            await take(path)
        else:
            note = "an image, a sound, or a file of text; a pasted path is one as well"
            self.app.push_screen(AskScreen("File to send along", "~/", note=note, check=check_file), take)

    @on(PromptEditor.Emptied)
    def action_detach(self) -> None:
        self.session.detach()

    @on(PromptEditor.TakeBackWanted)
    def action_take_back(self) -> None:
        waiting = self.session.view.value.queued
        if self.session.take_back():
            self.prompt.unsent(waiting[-1].content)
            self.prompt.focus()

    # History, completion, the editor outside

    @on(PromptEditor.EarlierWanted)
    async def _recall(self) -> None:
        prompts = await self.attempt(self.services.chats.prompts())
        self.prompt.remember(prompts or [])

    @on(PromptEditor.CompletionWanted)
    def _complete(self) -> None:
        text = self.prompt.text
        words = text.split()
        word = "" if not words or text[-1].isspace() else words.pop()
        models = [model.name for model in self.services.library.view.value.models]
        found = [one for one in slash.next_words(words, models, COMMANDS) if one.startswith(word)]
        if len(found) == 1:
            self.prompt.put(f"{text[: len(text) - len(word)]}{found[0]} ")
        elif found:
            self.picker.ask("command", "Commands", [Choice(one, one) for one in found])

    def complete_with(self, choice: str) -> None:
        """Put the chosen word in the place of the one that was begun."""
        text = self.prompt.text
        words = text.split()
        word = "" if not words or text[-1].isspace() else words[-1]
        self.prompt.put(f"{text[: len(text) - len(word)]}{choice} ")

    @on(PromptEditor.OutsideWanted)
    async def _edit_outside(self) -> None:
        settings: Any = getattr(self.app, "settings", None)
        text = await self.attempt(edit_outside(self.app, self.prompt.text, getattr(settings, "editor", "")))
        if text is not None:
            self.prompt.put(text)
