"""`ChatBase`: what the parts of the Chat pane share: widgets, the session that is shown, and how errors are told."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from textual.getters import query_one

from ollama_engine.errors import EngineError
from ollama_tui.panes.chat.conversation_list import ConversationList
from ollama_tui.panes.chat.picker import Picker
from ollama_tui.panes.chat.prompt import PromptEditor
from ollama_tui.panes.chat.transcript import Transcript
from ollama_tui.services import Services
from ollama_tui.services.chat_session import ChatSession, ChatView
from ollama_tui.text import visible
from ollama_tui.widgets.pane import Pane

T = TypeVar("T")


class ChatBase(Pane):
    """`session` is the conversation that is shown, `view` the snapshot of it that was drawn last."""

    pane_id = "chat"
    transcript = query_one("#transcript", Transcript)
    prompt = query_one("#prompt", PromptEditor)
    picker = query_one("#picker", Picker)
    chats = query_one("#chats", ConversationList)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.session: ChatSession = services.chats.shown.value
        self.view = ChatView()
        self._select_later: int | None = None
        """The message to select once it is drawn."""
        self._list_waits = False
        """Whether the list of conversations is away while the pane is zoomed, and comes back after it."""

    async def attempt(self, work: Awaitable[T]) -> T | None:
        """What `work` gives; None where it failed, which is told."""
        try:
            return await work
        except EngineError as error:
            self.report(error)
            return None

    def say(self, text: str) -> None:
        """A short answer to a key."""
        self.notify(visible(text), markup=False)

    def target(self) -> int | None:
        """The selected message, else the last one."""
        selected = self.transcript.selected
        if selected is not None:
            return selected
        return self.view.messages[-1].id if self.view.messages else None
