"""What of a branch a model can be sent: images and sounds of earlier messages only where it takes such files.

So a conversation goes on with another model. A file of the last prompt always goes along: that the model cannot take
it is for the engine to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ollama_engine.engine import Engine
from ollama_tui.chats import Attachment, StoredMessage

CAPABILITIES = {"image": "vision", "audio": "audio"}
"""What a model must be able to do to take a file of a kind; any model takes texts."""


@dataclass(frozen=True)
class Sendable:
    """`left_out` are the files that are not sent."""

    messages: tuple[StoredMessage, ...]
    left_out: tuple[Attachment, ...] = ()

    @property
    def note(self) -> str:
        """What the reader of the answer is to know; "" where nothing was left out."""
        if not self.left_out:
            return ""
        names = ", ".join(dict.fromkeys(one.name for one in self.left_out))
        return f"without {names} of earlier messages, which this model cannot take"


async def sendable(engine: Engine, model: str, path: Sequence[StoredMessage]) -> Sendable:
    """The branch as `model` can be sent it; EngineError as `Engine.show`, which is asked where there are such files."""
    last = next((one for one in reversed(path) if one.role == "user"), None)
    files = [file for one in path if one is not last for file in one.attachments if file.kind in CAPABILITIES]
    if not files:
        return Sendable(tuple(path))
    can = (await engine.show(model)).capabilities
    left_out = tuple(file for file in files if can and CAPABILITIES[file.kind] not in can)
    if not left_out:
        return Sendable(tuple(path))
    return Sendable(tuple(one if one is last else _without(one, left_out) for one in path), left_out)


def _without(message: StoredMessage, left_out: Sequence[Attachment]) -> StoredMessage:
    return replace(message, attachments=tuple(one for one in message.attachments if one not in left_out))
