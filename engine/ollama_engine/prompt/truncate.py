"""Makes a conversation fit the context: the oldest turns go first, system messages and the last message stay (§8.2).

The engine calls `fit_messages` before every chat with `truncate` on. Ollama renders and tokenises once for every
message it drops; here a first count and an estimate lead to the place, and mostly three calls are enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ollama_engine.types import Message

CountTokens = Callable[[list[str]], Awaitable[list[int]]]
"""Tokens of each text, in one call for all."""

IMAGE_TOKENS = 768
"""What an image is reckoned at (spec §8.2)."""


@dataclass(frozen=True)
class Fitted:
    """The messages that remain, and how many went."""

    messages: list[Message]
    dropped: int


async def fit_messages(
    messages: Sequence[Message],
    n_ctx: int,
    count_tokens: CountTokens,
    *,
    render: Callable[[list[Message]], str],
    media_tokens: Callable[[Message], int] = lambda message: IMAGE_TOKENS * len(message.images or ()),
) -> Fitted:
    """As many of the newest turns as `n_ctx` tokens hold.

    A turn begins with a user message and goes or stays as a whole, so that no tool result stands without its call;
    only the last one is shortened where it does not fit by itself. Where even system and last message are too long
    they are returned all the same: the caller decides about a prompt that no dropping can save.

    Args:
        render: the prompt of some of the messages (`ChatTemplate.render` with its tools and think); runs in a thread.
        media_tokens: how many tokens a message's images and sounds take.

    Raises:
        TemplateError: from `render`.
    """
    kept = [_keep_from(messages, start) for start in _starts(messages)]
    measure = _Measure(kept, count_tokens, render, media_tokens)
    total = (await measure([0]))[0]
    if total <= n_ctx or len(kept) == 1:
        return Fitted(list(messages), 0)
    guess = await _estimate(messages, kept, total, n_ctx, count_tokens, media_tokens)
    low, high = 0, len(kept) - 1  # `low` is too long; `high` is what remains if nothing fits
    while high - low > 1:
        probes = sorted({min(max(at, low + 1), high - 1) for at in (guess - 1, guess, guess + 1)})
        for at, tokens in zip(probes, await measure(probes), strict=True):
            if tokens <= n_ctx:
                high = min(high, at)
            else:
                low = max(low, at)
        guess = (low + high) // 2
    return Fitted(kept[high], len(messages) - len(kept[high]))


class _Measure:
    """Tokens of the prompts that stand at some places of `kept`, images included."""

    def __init__(
        self,
        kept: list[list[Message]],
        count_tokens: CountTokens,
        render: Callable[[list[Message]], str],
        media_tokens: Callable[[Message], int],
    ) -> None:
        self._kept = kept
        self._count = count_tokens
        self._render = render
        self._media_tokens = media_tokens

    async def __call__(self, places: Sequence[int]) -> list[int]:
        texts = await asyncio.to_thread(lambda: [self._render(self._kept[at]) for at in places])
        counts = await self._count(texts)
        return [tokens + self._images(at) for at, tokens in zip(places, counts, strict=True)]

    def _images(self, at: int) -> int:
        return sum(map(self._media_tokens, self._kept[at]))


def _starts(messages: Sequence[Message]) -> list[int]:
    """Places where the conversation may begin: whole, then at each turn, then inside the last turn."""
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    inside = range(users[-1] + 1 if users else 1, len(messages))
    last = len(messages) - 1
    tail = [index for index in inside if index == last or messages[index].role not in ("tool", "system")]
    return list(dict.fromkeys([0, *users, *tail]))


def _keep_from(messages: Sequence[Message], start: int) -> list[Message]:
    return [message for index, message in enumerate(messages) if index >= start or message.role == "system"]


async def _estimate(
    messages: Sequence[Message],
    kept: list[list[Message]],
    total: int,
    n_ctx: int,
    count_tokens: CountTokens,
    media_tokens: Callable[[Message], int],
) -> int:
    """The first place that should fit: by the bare texts, and what the template adds spread over all messages."""
    counts = await count_tokens([_bare_text(message) for message in messages])
    bare = [tokens + media_tokens(message) for message, tokens in zip(messages, counts, strict=True)]
    added = max(0, total - sum(bare)) / len(messages)
    sizes = {id(message): tokens + added for message, tokens in zip(messages, bare, strict=True)}
    for at, rest in enumerate(kept):
        if sum(sizes[id(message)] for message in rest) <= n_ctx:
            return at
    return len(kept) - 1


def _bare_text(message: Message) -> str:
    calls = " ".join(f"{call.function.name} {call.function.arguments}" for call in message.tool_calls or ())
    return " ".join(part for part in (message.content, message.thinking, calls) if part)
