"""How many tokens answers took, as OpenAI tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ollama_engine.types import ChatChunk, GenerateChunk


@dataclass
class Usage:
    """Counts over all choices of one request, whose prompt counts once."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0

    @classmethod
    def of(cls, chunks: Iterable[ChatChunk | GenerateChunk]) -> Usage:
        usage = cls()
        for chunk in chunks:
            usage.add(chunk)
        return usage

    def add(self, chunk: ChatChunk | GenerateChunk) -> None:
        """Take a chunk of a stream; the last one of each choice has the counts."""
        thinking = chunk.message.thinking if isinstance(chunk, ChatChunk) else chunk.thinking
        if thinking:
            self.reasoning += chunk.tokens
        if chunk.done:
            self.prompt = max(self.prompt, chunk.prompt_eval_count)
            self.cached = max(self.cached, chunk.cached_tokens)
            self.completion += chunk.eval_count

    def completions(self) -> dict[str, Any]:
        """The shape of chat and text completions."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }

    def responses(self) -> dict[str, Any]:
        """The shape of /v1/responses."""
        return {
            "input_tokens": self.prompt,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.completion,
            "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.prompt + self.completion,
        }
