"""`MessageTree`: the messages of a conversation by the one before each; edits and further answers are branches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ollama_tui.chats.records import StoredMessage


class MessageTree:
    """Siblings stand in the order in which they were made. Ids below zero are of messages that are not on disk."""

    def __init__(self, messages: Iterable[StoredMessage] = ()) -> None:
        self._messages: dict[int, StoredMessage] = {}
        self._below: dict[int | None, list[int]] = {}
        for message in messages:
            self.put(message)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._messages

    def __getitem__(self, message_id: int) -> StoredMessage:
        """KeyError where there is none."""
        return replace(self._messages[message_id], branch=self._branch(message_id))

    def put(self, message: StoredMessage) -> None:
        """Add a message, or replace it as it was before."""
        if message.id not in self._messages:
            self._below.setdefault(message.parent_id, []).append(message.id)
        self._messages[message.id] = message

    def remove(self, message_id: int) -> None:
        """Take out a message that nothing hangs on."""
        message = self._messages.pop(message_id, None)
        if message is not None:
            self._below[message.parent_id].remove(message_id)

    def path(self, head: int | None) -> tuple[StoredMessage, ...]:
        """The messages from the first one to `head`, each with its place among its siblings."""
        found: list[StoredMessage] = []
        while head is not None and head in self._messages:
            message = self._messages[head]
            place = self._branch(head)
            found.append(message if message.branch == place else replace(message, branch=place))
            head = message.parent_id
        return tuple(reversed(found))

    def sibling(self, message_id: int, step: int) -> int | None:
        """The id of the sibling so many places further; None where there is none."""
        siblings = self._below[self._messages[message_id].parent_id]
        at = siblings.index(message_id) + step
        return siblings[at] if 0 <= at < len(siblings) else None

    def leaf(self, message_id: int) -> int:
        """The end of the newest branch that goes on from here."""
        while below := self._below.get(message_id):
            message_id = below[-1]
        return message_id

    def place_of_next(self, parent_id: int | None) -> tuple[int, int]:
        """The `branch` that one more message below `parent_id` would have."""
        count = len(self._below.get(parent_id, ())) + 1
        return count, count

    def _branch(self, message_id: int) -> tuple[int, int]:
        siblings = self._below[self._messages[message_id].parent_id]
        return (1, 1) if len(siblings) == 1 else (siblings.index(message_id) + 1, len(siblings))
