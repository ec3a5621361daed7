"""The way of an embed or rerank request: model, texts to tokens that fit, runner, vectors or an order.

`LocalEngine` delegates to it. Checks and the words of errors are Ollama's (spec §1.5, §1.6); ranking is ours, its
pairs are put together as llama.cpp's own server does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ollama_engine.checks import keep_alive_seconds
from ollama_engine.errors import InvalidRequest, ModelNotFound, PromptTooLong
from ollama_engine.opening import Opened, Opener
from ollama_engine.requests import Request
from ollama_engine.rerank_pairs import Pairs
from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.residency import Lease
from ollama_engine.scheduler.ticket import Use
from ollama_engine.types import (
    JSON,
    EmbedRequest,
    EmbedResponse,
    RankedDocument,
    RerankRequest,
    RerankResponse,
)

TOO_LONG = "the input length exceeds the context length"
NOTHING_LEFT = "input after truncation exceeds maximum context length"
LONGER_CONTEXT = "Shorten it, leave truncate at true, or give num_ctx a larger value where the model allows it."


class Embedding:
    """Answers requests that want vectors or scores."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener

    async def embed(self, request: EmbedRequest, running: Request) -> EmbedResponse:
        began = time.perf_counter_ns()
        texts = _texts(request.input)
        opened = await self._open(request.model, request.options)
        if opened.pooling == "rank":
            raise InvalidRequest(
                f'"{request.model}" does not support embeddings', hint="It ranks documents: ask /api/rerank."
            )
        normalize = opened.metadata.normalizes if request.normalize == "model" else request.normalize
        keep_alive = keep_alive_seconds(request.keep_alive)
        use: Use = "answer" if texts else "load"
        async with self._opener.lease(opened, keep_alive, opened.pooling, request=running, use=use) as lease:
            inputs = await _inputs(opened, lease.runner, texts, request.truncate is not False)
            vectors = await lease.runner.embed(inputs, dimensions=max(0, request.dimensions), normalize=normalize)
        return EmbedResponse(model=request.model, embeddings=vectors, **_metrics(inputs, lease, began))

    async def rerank(self, request: RerankRequest, running: Request) -> RerankResponse:
        began = time.perf_counter_ns()
        if request.documents and not request.query:
            raise InvalidRequest("query is required", hint="Say what the documents are to be ranked by.")
        opened = await self._open(request.model, request.options)
        if opened.metadata.pooling != "rank":
            raise InvalidRequest(
                f'"{request.model}" does not support reranking', hint="Choose a reranker, such as bge-reranker."
            )
        keep_alive = keep_alive_seconds(request.keep_alive)
        use: Use = "answer" if request.documents else "load"
        async with self._opener.lease(opened, keep_alive, "rank", request=running, use=use) as lease:
            pairs = Pairs(
                lease.runner,
                opened.metadata.named_templates.get("rerank", ""),
                limit=opened.context(lease.runner),
                truncate=request.truncate is not False,
            )
            inputs = await pairs.tokens(request.query, request.documents)
            scores = [score for score, *_ in await lease.runner.embed(inputs, normalize=False)]
        best = sorted(enumerate(scores), key=lambda item: -item[1])
        results = [
            RankedDocument(index, score) for index, score in best[: request.top_n if request.top_n > 0 else None]
        ]
        return RerankResponse(model=request.model, results=results, **_metrics(inputs, lease, began))

    async def _open(self, name: str, options: JSON | None) -> Opened:
        if not name:
            raise InvalidRequest("model is required")
        try:
            return await self._opener.open(name, options)
        except ModelNotFound as error:
            message = f'model "{name}" not found, try pulling it first'
            raise ModelNotFound(name, message, hint=error.hint) from error


def _texts(value: Any) -> list[str]:
    """The inputs of a request. No input and an empty one are none; an empty one in a list is one."""
    if value is None or value == "":
        return []
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("invalid input type", hint="input is a string or a list of strings.")
    return texts


async def _inputs(opened: Opened, runner: Runner, texts: list[str], truncate: bool) -> list[list[int]]:
    """Tokens of each text, special ones included; too long ones cut before the special token at their end."""
    limit, special = opened.context(runner), runner.info.special
    inputs = list(await asyncio.gather(*map(runner.tokenize, texts)))
    around = await runner.tokenize("") if texts else []
    # An empty text still has a vector. Where no special token makes it one, the model's own token for "nothing" does.
    nothing = next((token for token in (special.bos, special.eos, special.sep) if token >= 0), 0)
    tail = around[special.add_bos and around[:1] == [special.bos] :]
    for number, tokens in enumerate(inputs):
        if not tokens:
            inputs[number] = [nothing]
        elif len(tokens) > limit:
            if limit <= len(around):
                raise PromptTooLong(NOTHING_LEFT, hint=LONGER_CONTEXT)
            if not truncate:
                raise PromptTooLong(TOO_LONG, hint=LONGER_CONTEXT)
            inputs[number] = tokens[: limit - len(tail)] + tail
    return inputs


def _metrics(inputs: list[list[int]], lease: Lease, began: int) -> dict[str, int]:
    return {
        "total_duration": time.perf_counter_ns() - began,
        "load_duration": lease.load_duration,
        "prompt_eval_count": sum(map(len, inputs)),
    }
