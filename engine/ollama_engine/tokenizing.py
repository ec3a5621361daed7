"""The way of a tokenize or detokenize request: model, runner, tokens or text. `LocalEngine` delegates to it."""

from __future__ import annotations

import time

from ollama_engine.checks import keep_alive_seconds
from ollama_engine.errors import InvalidRequest
from ollama_engine.opening import Opened, Opener
from ollama_engine.scheduler.residency import Lease
from ollama_engine.types import (
    JSON,
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
    TokenizeResponse,
)


class Tokenizing:
    """Answers requests that ask a model's vocabulary. The runner answers them beside what it decodes."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        began = time.perf_counter_ns()
        opened = await self._open(request.model, request.options)
        async with self._opener.lease(opened, keep_alive_seconds(request.keep_alive), opened.main_use) as lease:
            tokens = await lease.runner.tokenize(
                request.content, add_special=request.add_special, parse_special=request.parse_special is not False
            )
        return TokenizeResponse(model=request.model, tokens=tokens, **_durations(lease, began))

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        began = time.perf_counter_ns()
        opened = await self._open(request.model, request.options)
        async with self._opener.lease(opened, keep_alive_seconds(request.keep_alive), opened.main_use) as lease:
            content = await lease.runner.detokenize(request.tokens)
        return DetokenizeResponse(model=request.model, content=content, **_durations(lease, began))

    async def _open(self, name: str, options: JSON | None) -> Opened:
        if not name:
            raise InvalidRequest("model is required")
        return await self._opener.open(name, options)


def _durations(lease: Lease, began: int) -> dict[str, int]:
    return {"total_duration": time.perf_counter_ns() - began, "load_duration": lease.load_duration}
