"""What the Chat pane does with the selected message: copy, fold, edit, answer again, fork, walk branches, results."""

from __future__ import annotations

from ollama_tui import actions
from ollama_tui.panes.chat.chat_base import ChatBase
from ollama_tui.panes.chat.text_screen import TextScreen
from ollama_tui.text import one_line

BUSY = "Wait for the answer, or stop it with esc."


class MessageActions(ChatBase):
    def action_select(self, step: int) -> None:
        self.transcript.select(step)
        self.refresh_bindings()

    def action_copy(self) -> None:
        self._copy(self.transcript.selected_text(), "message")

    def action_copy_code(self) -> None:
        self._copy(self.transcript.selected_code(), "code")

    def _copy(self, text: str, what: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)  # which says where the text went
        else:
            self.say(f"There is no {what} to copy here.")

    def action_fold(self) -> None:
        self.transcript.toggle_fold()

    def action_edit(self) -> None:
        """The selected prompt, or the last one, is said otherwise."""
        messages = self.view.messages
        ids = [one.id for one in messages]
        selected = self.transcript.selected
        upto = ids.index(selected) + 1 if selected in ids else len(ids)
        message = next((one for one in reversed(messages[:upto]) if one.role == "user"), None)
        if message is None:
            return

        def take(text: str | None) -> None:
            if text is None or text == message.content:
                return
            if self.session.resend(message.id, text):
                self._follow()
            else:
                self.say(BUSY)

        keymap = actions.in_force(self)
        keys = f"{keymap.name('chat.branch_before')} and {keymap.name('chat.branch_after')}"
        note = f"The old one stays: {keys} walk from branch to branch."
        self.app.push_screen(TextScreen("Say it otherwise", message.content, note=note), take)

    def action_regenerate(self) -> None:
        if self.session.regenerate(self.target()):
            self._follow()
        elif self.session.busy:
            self.say(BUSY)

    def action_walk(self, step: int) -> None:
        """Along the branches of the selected message, or of the last one that has some."""
        branching = [one.id for one in self.view.messages if one.branch[1] > 1]
        selected = self.transcript.selected
        message_id = selected if selected in branching else branching[-1] if branching else None
        if message_id is None:
            keymap = actions.in_force(self)
            more = f"{keymap.name('chat.edit')} and {keymap.name('chat.regenerate')} make more."
            self.say(f"There is one branch only: {more}")
        elif self.session.busy:
            self.say(BUSY)
        else:
            before = [one.id for one in self.view.messages].index(message_id)
            if self.session.walk(message_id, step) and selected is not None:
                # The selection goes along to the sibling, which stands in the same place.
                self._select_later = self.session.view.value.messages[before].id

    async def action_fork(self) -> None:
        message_id = self.target()
        if message_id is None:
            return
        before = self.services.chats.shown.value
        await self.attempt(self.services.chats.fork(message_id))
        if self.services.chats.shown.value is not before:
            self.say("This is a new conversation, the same as the other up to here.")

    def action_result(self) -> None:
        """The result of the first call that waits for one."""
        calls = self.view.pending_calls
        if not calls:
            self.say("No tool waits for its result.")
            return

        def take(text: str | None) -> None:
            if text is not None and not self.session.give_result(text):
                self.say(BUSY)

        call = calls[0]
        title = f"Result of {one_line(call.name)}"
        self.app.push_screen(TextScreen(title, note=f"{call.name}({call.arguments})"), take)

    def _follow(self) -> None:
        self.transcript.selected = None
        self.transcript.follow_end()
