"""One round of a cell: its requests at once, each timed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from ollama_engine.bench.records import Sample
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, RequestCanceled
from ollama_engine.types import GenerateRequest

TICK = 0.25
"""Seconds between two speeds that are told."""


@dataclass
class Tally:
    """Tokens generated so far in a round, by all of its requests."""

    tokens: int = 0


@dataclass(frozen=True)
class Pace:
    """`seconds` since the round began, `rate` since the last tick."""

    seconds: float
    rate: float
    tokens: int


async def round_of(
    engine: Engine, requests: Sequence[GenerateRequest], number: int
) -> AsyncGenerator[Pace | tuple[Sample, ...], None]:
    """Send all requests at once; how fast it goes, and last of all the samples.

    Closing it cancels the requests. EngineError: one failed, and the others were cancelled.
    """
    tally = Tally()
    began = time.perf_counter_ns()
    tasks = [
        asyncio.create_task(_sample(engine, request, number, stream, began, tally), name=f"bench {number}.{stream}")
        for stream, request in enumerate(requests)
    ]
    try:
        before, then = 0, began
        while True:
            _, waiting = await asyncio.wait(tasks, timeout=TICK, return_when=asyncio.FIRST_EXCEPTION)
            if not waiting or any(task.done() and task.exception() for task in tasks):
                break
            now = time.perf_counter_ns()
            yield Pace((now - began) / 1e9, (tally.tokens - before) / ((now - then) / 1e9), tally.tokens)
            before, then = tally.tokens, now
        for task in tasks:
            if task.done():
                task.result()
        yield tuple(task.result() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _sample(
    engine: Engine, request: GenerateRequest, number: int, stream: int, round_began: int, tally: Tally
) -> Sample:
    began = time.perf_counter_ns()
    first, last = 0, None
    async with contextlib.aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            if not first:
                first = time.perf_counter_ns()
            if chunk.done:
                last = chunk
            else:
                tally.tokens += chunk.tokens
    ended = time.perf_counter_ns()
    if last is None:
        raise EngineError("the answer ended before it was whole")
    if last.done_reason == "canceled":
        raise RequestCanceled("a request of the benchmark was cancelled by somebody else")
    if last.truncated_tokens:
        raise EngineError(
            f"the context is too small: {last.truncated_tokens} tokens of the prompt were cut off",
            hint="Give a larger num_ctx.",
        )
    return Sample(
        round=number,
        stream=stream,
        prompt_tokens=last.prompt_eval_count,
        cached_tokens=last.cached_tokens,
        prompt_ns=last.prompt_eval_duration,
        tokens=last.eval_count,
        generation_ns=last.eval_duration,
        start_ns=began - round_began,
        first_token_ns=first - began,
        total_ns=ended - began,
        done_reason=last.done_reason,
    )
