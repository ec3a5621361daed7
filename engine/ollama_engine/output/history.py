"""Old reasoning taken out of a conversation before it is rendered again (spec §8.2, history filter)."""

from __future__ import annotations

import re

import msgspec

from ollama_engine.output.syntax import Markers, pieces
from ollama_engine.types import Message


def strip_thinking(messages: list[Message], markers: Markers) -> list[Message]:
    """`messages` with thinking blocks cut from what the assistant said before the last user message.

    Clients that know nothing of `thinking` send the tags back inside `content`. A block without its opening tag,
    which was the prompt's, is cut as well; one that was never closed is left as it is.
    """
    last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
    tags = markers.thinking
    if tags is None or last_user < 0:
        return messages
    opening = f"(?:{_flexible(tags.open)})?" if tags.open else ""
    block = re.compile(rf"\A\s*{opening}.*?{_flexible(tags.close)}\s*", re.DOTALL)
    return [
        msgspec.structs.replace(message, content=block.sub("", message.content, count=1))
        if message.role == "assistant" and index < last_user and _begins_with(message.content, tags.open, tags.close)
        else message
        for index, message in enumerate(messages)
    ]


def _begins_with(content: str, opener: str, closer: str) -> bool:
    """Whether the first thinking tag in `content` opens a block at its start, or closes one that began before it."""
    first_open = content.find(pieces(opener)[0]) if opener else -1
    first_close = content.find(pieces(closer)[0])
    return first_close >= 0 and (first_open < 0 or first_open > first_close or not content[:first_open].strip())


def _flexible(marker: str) -> str:
    return r"\s*".join(map(re.escape, pieces(marker)))
