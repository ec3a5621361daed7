"""Answers that `Engine.cancel` has ended, in dialects that have no word for it: an error, not a whole answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from ollama_engine.errors import RequestCanceled
from ollama_engine.types import ChatChunk, GenerateChunk

C = TypeVar("C", ChatChunk, GenerateChunk)


async def unless_canceled(chunks: AsyncGenerator[C, None]) -> AsyncGenerator[C, None]:
    """The chunks; RequestCanceled in the place of a last one that says `canceled`."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk.done_reason == "canceled":
                raise RequestCanceled()
            yield chunk
