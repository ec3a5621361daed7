"""The way of a tokenize or detokenize request: model, runner, tokens or text. `LocalEngine` delegates to it."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager

from msgspec import UnsetType

from ollama_engine.checks import keep_alive_seconds
from ollama_engine.errors import InvalidRequest
from ollama_engine.opening import Opened, Opener
from ollama_engine.requests import Request
from ollama_engine.scheduler.residency import Lease
from ollama_engine.types import (
    JSON,
    DetokenizeRequest,
    DetokenizeResponse,
    KeepAlive,
    TokenizeRequest,
    TokenizeResponse,
)


class Tokenizing:
    """Answers requests that ask a model's vocabulary. The runner answers them beside what it decodes."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def tokenize(self, request: TokenizeRequest, running: Request) -> TokenizeResponse:
        began = time.perf_counter_ns()
        opened = await self._open(request.model, request.options)
        async with self._lease(opened, request.keep_alive, running) as lease:
            tokens = await lease.runner.tokenize(
                request.content, add_special=request.add_special, parse_special=request.parse_special is not False
            )
        return TokenizeResponse(model=request.model, tokens=tokens, **_durations(lease, began))

    async def detokenize(self, request: DetokenizeRequest, running: Request) -> DetokenizeResponse:
        began = time.perf_counter_ns()
        opened = await self._open(request.model, request.options)
        async with self._lease(opened, request.keep_alive, running) as lease:
            content = await lease.runner.detokenize(request.tokens)
        return DetokenizeResponse(model=request.model, content=content, **_durations(lease, began))

    def _lease(
        self, opened: Opened, keep_alive: KeepAlive | UnsetType, running: Request
    ) -> AbstractAsyncContextManager[Lease]:
        seconds = keep_alive_seconds(keep_alive)
        return self._opener.lease(opened, seconds, opened.main_use, request=running, use="ask")

    async def _open(self, name: str, options: JSON | None) -> Opened:
        if not name:
            raise InvalidRequest("model is required")
        return await self._opener.open(name, options)


def _durations(lease: Lease, began: int) -> dict[str, int]:
    return {"total_duration": time.perf_counter_ns() - began, "load_duration": lease.load_duration}
