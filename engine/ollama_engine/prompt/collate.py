"""Messages made ready for a template: system text gathered, neighbours of one role merged, images marked.

Spec §8.2 (collation, image markers). `render.py` calls it for every prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ollama_engine.types import Message


def collate(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """All system text joined by blank lines, and the messages with neighbours of one role merged.

    Tool messages are never merged (each answers one call). System messages stay among the messages too.
    """
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role != "tool":
            merged[-1] = _merge(merged[-1], message)
        else:
            merged.append(message)
    return "\n\n".join(message.content for message in messages if message.role == "system"), merged


def _merge(first: Message, second: Message) -> Message:
    """Two messages as one; unlike Ollama's, nothing of the second one is lost."""
    return replace(
        first,
        content=_joined(first.content, second.content),
        thinking=_joined(first.thinking, second.thinking),
        images=[*(first.images or ()), *(second.images or ())] or None,
        tool_calls=[*(first.tool_calls or ()), *(second.tool_calls or ())] or None,
    )


def _joined(first: str, second: str) -> str:
    return "\n\n".join(text for text in (first, second) if text)


def image_mark(number: int) -> str:
    """Ollama's mark of an image's place."""
    return f"[img-{number}]"


def mark_images(messages: Sequence[Message], mark: Callable[[int], str] = image_mark) -> list[Message]:
    """Each image as `mark(N)` in its message's text, N counting from 0 over the whole conversation.

    `[img]` placeholders are filled in order; images without one go in front of the text. The runner replaces the
    markers by the images themselves.
    """
    marked: list[Message] = []
    number = 0
    for message in messages:
        content, prefix = message.content, ""
        for _ in message.images or ():
            marker = mark(number)
            number += 1
            if "[img]" in content:
                content = content.replace("[img]", marker, 1)
            else:
                prefix += marker
        marked.append(replace(message, content=prefix + content) if message.images else message)
    return marked
