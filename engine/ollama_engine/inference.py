"""The way of a chat or generate request: model, options, prompt, runner, chunks.

`LocalEngine` resolves nothing itself: it opens an `Inference` per request and iterates it. The order of checks and the
words of the errors are Ollama's (spec §1.3, §1.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, UnsetType

from ollama_engine.catalog import Catalog, details
from ollama_engine.durations import parse_keep_alive
from ollama_engine.errors import InvalidRequest, ModelNotFound, PromptTooLong
from ollama_engine.gguf.metadata import ModelMetadata
from ollama_engine.grammar.format import format_to_grammar
from ollama_engine.options import Options, effective_num_predict, merge_options
from ollama_engine.prompt.render import ChatTemplate, render_generate
from ollama_engine.prompt.truncate import fit_messages
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Done, Generate, Piece, Sampling
from ollama_engine.scheduler.placement import Placement, measure_memory, place
from ollama_engine.scheduler.residency import Lease, Scheduler
from ollama_engine.scheduler.resident import Subject
from ollama_engine.settings import Settings
from ollama_engine.store.model import Model, open_model
from ollama_engine.store.store import Store
from ollama_engine.types import (
    JSON,
    ChatChunk,
    ChatRequest,
    DebugInfo,
    GenerateChunk,
    GenerateRequest,
    KeepAlive,
    Message,
    Think,
)

THINK_LEVELS = ("high", "medium", "low", "max")
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True)
class Opened:
    """A model as a request meets it: its layers, its weights' metadata, the options in force."""

    requested: str
    model: Model
    metadata: ModelMetadata
    capabilities: tuple[str, ...]
    options: Options
    given: frozenset[str]
    template: ChatTemplate

    @property
    def subject(self) -> Subject:
        key = "\n".join(str(path) for path in (*self.model.model_paths, *self.model.adapter_paths))
        return Subject(key, self.model.name.display, self.model.digest, details(self.model, self.metadata))


class Inference:
    """Answers requests from a store through a scheduler."""

    def __init__(self, store: Store, catalog: Catalog, scheduler: Scheduler, settings: Settings) -> None:
        self._store = store
        self._catalog = catalog
        self._scheduler = scheduler
        self._settings = settings

    # -- the verbs ---------------------------------------------------------------------------------------------

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        _check_logprobs(request.logprobs, request.top_logprobs)
        if not request.model:
            raise InvalidRequest("model is required")
        began = time.perf_counter_ns()
        opened = await self.open(request.model, request.options)
        keep_alive = _keep_alive(request.keep_alive)

        def chunk(content: str = "", **last: Any) -> ChatChunk:
            message = Message("assistant", content)
            return ChatChunk(model=request.model, created_at=_now(), message=message, done=bool(last), **last)

        if not request.messages and keep_alive == 0:
            await self._scheduler.unload(opened.subject.key)
            yield chunk(done_reason="unload")
            return
        think = _think(request, opened)
        _require(opened, "completion", f'"{request.model}" does not support chat')
        _refuse_unbuilt(opened, request)
        grammar = await asyncio.to_thread(format_to_grammar, request.format)
        messages = _with_model_messages(request.messages, opened.model)
        if request.debug_render_only:
            text = await asyncio.to_thread(lambda: opened.template.render(messages, tools=None, think=think))
            yield ChatChunk(
                model=request.model,
                created_at=_now(),
                message=Message("assistant"),
                done=False,
                debug_info=DebugInfo(text),
            )
            return
        async with self._lease(opened, keep_alive) as lease:
            if not request.messages:
                yield chunk(done_reason="load")
                return
            tokens = await self._chat_tokens(opened, lease.runner, messages, think, request.truncate)
            generate = self._generate_frame(opened, lease, tokens, request, grammar)
            async with contextlib.aclosing(lease.runner.generate(generate)) as parts:
                async for part in parts:
                    if isinstance(part, Piece):
                        yield chunk(part.text)
                    else:
                        yield chunk(**_last(part, lease, began))

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        _check_logprobs(request.logprobs, request.top_logprobs)
        if not request.model:
            raise ModelNotFound(request.model)
        began = time.perf_counter_ns()
        opened = await self.open(request.model, request.options)
        keep_alive = _keep_alive(request.keep_alive)

        def chunk(text: str = "", **last: Any) -> GenerateChunk:
            return GenerateChunk(model=request.model, created_at=_now(), response=text, done=bool(last), **last)

        if not request.prompt and keep_alive == 0:
            await self._scheduler.unload(opened.subject.key)
            yield chunk(done_reason="unload")
            return
        if request.raw and (request.template or request.system or request.context):
            raise InvalidRequest("raw mode does not support template, system, or context")
        think = _think(request, opened)
        _require(opened, "completion", f'"{request.model}" does not support generate')
        if request.suffix:
            _require(opened, "insert", f"{opened.model.name.full} does not support insert")
        _refuse_unbuilt(opened, request)
        grammar = await asyncio.to_thread(format_to_grammar, request.format)
        if request.debug_render_only:
            text = await self._generate_text(opened, request, think)
            yield GenerateChunk(
                model=request.model, created_at=_now(), response="", done=False, debug_info=DebugInfo(text)
            )
            return
        async with self._lease(opened, keep_alive) as lease:
            if not request.prompt:
                yield chunk(done_reason="load")
                return
            text = await self._generate_text(opened, request, think)
            if request.context:
                text = await lease.runner.detokenize(request.context) + text
            tokens = await lease.runner.tokenize(text)
            generate = self._generate_frame(opened, lease, tokens, request, grammar)
            generate.return_tokens = not request.raw
            async with contextlib.aclosing(lease.runner.generate(generate)) as parts:
                async for part in parts:
                    if isinstance(part, Piece):
                        yield chunk(part.text)
                    else:
                        yield chunk(context=part.tokens, **_last(part, lease, began))

    async def load(self, name: str, keep_alive: KeepAlive) -> None:
        opened = await self.open(name, None)
        async with self._lease(opened, None if keep_alive is None else parse_keep_alive(keep_alive)):
            pass

    async def unload(self, name: str) -> None:
        opened = await self.open(name, None)
        await self._scheduler.unload(opened.subject.key)

    # -- steps -------------------------------------------------------------------------------------------------

    async def open(self, name: str, request_options: JSON | None) -> Opened:
        """Resolve a model and its options; ModelNotFound, InvalidName, InvalidRequest."""
        return await asyncio.to_thread(self._open, name, request_options)

    def _open(self, name: str, request_options: JSON | None) -> Opened:
        model = open_model(self._store, name)
        given = {**model.parameters, **{k: v for k, v in (request_options or {}).items() if v is not None}}
        options = merge_options(model.parameters, request_options)
        metadata = self._catalog.metadata(model)
        return Opened(
            requested=name,
            model=model,
            metadata=metadata,
            capabilities=self._catalog.capabilities(model),
            options=options,
            given=frozenset(given),
            template=self._catalog.template(model),
        )

    @contextlib.asynccontextmanager
    async def _lease(self, opened: Opened, keep_alive: float | None) -> AsyncIterator[Lease]:
        placement = await asyncio.to_thread(self._place, opened)
        async with self._scheduler.lease(opened.subject, placement, keep_alive) as lease:
            yield lease

    def _place(self, opened: Opened) -> Placement:
        return place(
            opened.model.model_paths,
            opened.metadata,
            opened.options,
            opened.given,
            self._settings,
            measure_memory(),
        )

    async def _chat_tokens(
        self, opened: Opened, runner: Runner, messages: list[Message], think: Think, truncate: bool | None
    ) -> list[int]:
        """The prompt of a conversation, its oldest turns left out where it would not fit (spec §8.2)."""

        def render(some: list[Message]) -> str:
            return opened.template.render(some, tools=None, think=think)

        async def count(texts: list[str]) -> list[int]:
            return [len(tokens) for tokens in await asyncio.gather(*map(runner.tokenize, texts))]

        tokens = await runner.tokenize(await asyncio.to_thread(render, messages))
        limit = self._context(opened, runner)
        if len(tokens) >= limit and truncate is not False:
            fitted = await fit_messages(messages, limit - 1, count, render=render)
            tokens = await runner.tokenize(await asyncio.to_thread(render, fitted.messages))
        return tokens

    async def _generate_text(self, opened: Opened, request: GenerateRequest, think: Think) -> str:
        if request.raw:
            return request.prompt
        history = [] if request.context else opened.model.messages
        return await asyncio.to_thread(
            render_generate,
            opened.template,
            request.prompt,
            system=request.system or opened.model.system or "",
            suffix=request.suffix,
            template=request.template,
            history=history,
            think=think,
        )

    def _context(self, opened: Opened, runner: Runner) -> int:
        return min(opened.options.num_ctx or runner.info.n_ctx, runner.info.n_ctx)

    def _generate_frame(
        self, opened: Opened, lease: Lease, tokens: list[int], request: ChatRequest | GenerateRequest, grammar: str
    ) -> Generate:
        options, n_ctx = opened.options, self._context(opened, lease.runner)
        may_shift = request.shift is not False and opened.metadata.architecture != "deepseek2"
        keep = options.num_keep + bool(opened.metadata.add_bos)
        if len(tokens) >= n_ctx:
            if not may_shift or request.truncate is False:
                raise PromptTooLong(TOO_LONG)
            tokens = _cut_middle(tokens, n_ctx, keep)
        return Generate(
            id=0,
            tokens=tokens,
            n_ctx=n_ctx,
            max_tokens=effective_num_predict(options, n_ctx),
            stop=list(options.stop),
            sampling=_sampling(options, grammar),
            keep=keep,
            shift=may_shift,
        )


def _cut_middle(tokens: list[int], n_ctx: int, keep: int) -> list[int]:
    """Keep the first `keep` tokens and as many of the last as leave room for an answer (spec §8.2)."""
    keep = min(max(keep, 0), n_ctx - 2)
    room = max(n_ctx - max((n_ctx - keep) // 2, 1), keep + 1)
    return tokens[:keep] + tokens[len(tokens) - (room - keep) :]


def _sampling(options: Options, grammar: str) -> Sampling:
    names = set(Sampling.__struct_fields__) & set(Options.__struct_fields__)
    return Sampling(**{name: getattr(options, name) for name in names}, grammar=grammar)


def _last(done: Done, lease: Lease, began: int) -> dict[str, Any]:
    """The final chunk's fields."""
    return {
        "done_reason": done.reason,
        "total_duration": time.perf_counter_ns() - began,
        "load_duration": lease.load_duration,
        "prompt_eval_count": done.prompt_tokens,
        "prompt_eval_duration": done.prompt_duration,
        "eval_count": done.output_tokens,
        "eval_duration": done.output_duration,
    }


def _with_model_messages(messages: list[Message], model: Model) -> list[Message]:
    """The model's own MESSAGE history and SYSTEM before the conversation, unless that has a system message first."""
    messages = [*model.messages, *messages]
    if model.system and (not messages or messages[0].role != "system"):
        messages.insert(0, Message("system", model.system))
    return messages


def _keep_alive(value: KeepAlive | UnsetType) -> float | None:
    return None if value is None or value is UNSET else parse_keep_alive(value)


def _think(request: ChatRequest | GenerateRequest, opened: Opened) -> Think:
    """What the template is told: spec §1.3, step 8. An answer in a given format is constrained from its first token,
    so unless the request asks for thinking it goes without."""
    think = request.think
    if isinstance(think, str) and think not in THINK_LEVELS:
        raise InvalidRequest(f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    if "thinking" in opened.capabilities:
        return request.format in (None, "") if think is None else think
    if think:
        raise InvalidRequest(f'"{request.model}" does not support thinking')
    return None


def _require(opened: Opened, capability: str, message: str) -> None:
    if capability not in opened.capabilities:
        raise InvalidRequest(message)


def _check_logprobs(logprobs: bool, top_logprobs: int) -> None:
    if not 0 <= top_logprobs <= MAX_TOP_LOGPROBS:
        raise InvalidRequest("top_logprobs must be between 0 and 20")
    if logprobs or top_logprobs:
        raise InvalidRequest("logprobs are not built yet", hint="Leave logprobs and top_logprobs out.")


def _refuse_unbuilt(opened: Opened, request: ChatRequest | GenerateRequest) -> None:
    """What a request may ask that this engine cannot do yet is an error: an answer that ignored it would be false."""
    tools = request.tools if isinstance(request, ChatRequest) else None
    if tools and "tools" not in opened.capabilities:
        raise InvalidRequest(f"{opened.model.name.full} does not support tools")
    if tools:
        raise InvalidRequest("tool calls are not built yet", hint="Leave tools out.")
    turns = request.messages if isinstance(request, ChatRequest) else [request]
    if any(turn.images for turn in turns):
        raise InvalidRequest("images are not built yet", hint="Send text only.")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
