"""An engine whose answers are counted on their way to whatever dialect asked for them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar, cast

from ollama_engine.engine import Engine
from ollama_engine.server.metrics.meters import Meters
from ollama_engine.server.metrics.middleware import current
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    EmbedRequest,
    EmbedResponse,
    GenerateChunk,
    GenerateRequest,
    RerankRequest,
    RerankResponse,
)

C = TypeVar("C", ChatChunk, GenerateChunk)


def metered(engine: Engine, meters: Meters) -> Engine:
    """`engine`, counted in `meters`."""
    return cast(Engine, _Metered(engine, meters))  # what it does not count it passes on


class _Metered:
    def __init__(self, engine: Engine, meters: Meters) -> None:
        self._engine = engine
        self._meters = meters

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        return self._count(self._engine.chat(request), request.model)

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        return self._count(self._engine.generate(request), request.model)

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        answer = await self._engine.embed(request)
        self._meters.prompt(self._answers(request.model), tokens=answer.prompt_eval_count)
        return answer

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        answer = await self._engine.rerank(request)
        self._meters.prompt(self._answers(request.model), tokens=answer.prompt_eval_count)
        return answer

    async def _count(self, chunks: AsyncGenerator[C, None], name: str) -> AsyncGenerator[C, None]:
        began = time.perf_counter()
        model = ""
        async with aclosing(chunks):
            async for chunk in chunks:
                if not model:
                    model = self._answers(name)
                    if not chunk.done and chunk.debug_info is None:
                        self._meters.first_token.labels(model).observe(time.perf_counter() - began)
                if chunk.done:
                    self._finish(chunk, model)
                yield chunk

    def _answers(self, name: str) -> str:
        """The label of a model that has just shown that it is there."""
        model = self._meters.model(name)
        measured = current.get()
        if measured is not None:
            measured.model = model
        return model

    def _finish(self, chunk: ChatChunk | GenerateChunk, model: str) -> None:
        self._meters.prompt(
            model,
            tokens=chunk.prompt_eval_count,
            cached=chunk.cached_tokens,
            nanoseconds=chunk.prompt_eval_duration,
        )
        self._meters.generation(model, tokens=chunk.eval_count, nanoseconds=chunk.eval_duration)
