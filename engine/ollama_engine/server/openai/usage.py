"""How many tokens answers took, as OpenAI tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ollama_engine.server.openai.objects import (
    CompletionTokensDetails,
    CompletionUsage,
    InputTokensDetails,
    OutputTokensDetails,
    PromptTokensDetails,
    ResponseUsage,
)
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

    def completions(self) -> CompletionUsage:
        """The shape of chat and text completions."""
        return CompletionUsage(
            self.prompt,
            self.completion,
            self.prompt + self.completion,
            PromptTokensDetails(self.cached),
            CompletionTokensDetails(self.reasoning),
        )

    def responses(self) -> ResponseUsage:
        """The shape of /v1/responses."""
        return ResponseUsage(
            self.prompt,
            InputTokensDetails(self.cached),
            self.completion,
            OutputTokensDetails(self.reasoning),
            self.prompt + self.completion,
        )
