"""The way of a chat or generate request: model, options, prompt, runner, chunks.

`LocalEngine` resolves nothing itself: it opens an `Inference` per request and iterates it. The order of checks and the
words of the errors are Ollama's (spec §1.3, §1.4).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from ollama_engine.checks import check_chat, check_generate, check_logprobs, keep_alive_seconds, think_of
from ollama_engine.constraint import answer_grammar, free_text, is_constrained, reading_markers, tool_choice_of
from ollama_engine.errors import InvalidRequest, ModelNotFound, PromptTooLong
from ollama_engine.gguf.infill import Infill
from ollama_engine.infill import infill_prompt, infill_text, insert_prompt, prompt_room
from ollama_engine.logprobs import on_the_wire
from ollama_engine.opening import Opened, Opener
from ollama_engine.options import Options, effective_num_predict
from ollama_engine.output.history import strip_thinking
from ollama_engine.output.parser import Call, Content, Event, OutputParser, Thinking
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.collate import image_mark
from ollama_engine.prompt.render import GoChat, render_generate
from ollama_engine.prompt.truncate import fit_messages
from ollama_engine.request_media import RequestMedia
from ollama_engine.requests import Request
from ollama_engine.runner import protocol
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Done, FreeText, Generate, Piece, Sampling
from ollama_engine.scheduler.residency import Lease
from ollama_engine.scheduler.ticket import Use
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    DebugInfo,
    GenerateChunk,
    GenerateRequest,
    Logprob,
    Message,
    Think,
)

TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, "
    "adjust the context length in settings, or use a model with a longer context length"
)
CUT_THINKING = ("qwen3", "deepseek-r1")
"""Architectures and names whose own earlier thinking does not go back into the prompt (spec §8.2)."""


@dataclass(frozen=True)
class _Fitted:
    """A prompt, its tokens with the places of images among them, how many cells that is with the images put in, the
    messages that it was rendered of, and their files."""

    prompt: str
    tokens: list[int]
    length: int
    messages: list[Message]
    media: list[bytes]


class Inference:
    """Answers requests that make a model speak."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._catalog = opener.catalog

    # -- the verbs ---------------------------------------------------------------------------------------------

    async def chat(self, request: ChatRequest, running: Request) -> AsyncGenerator[ChatChunk, None]:
        check_logprobs(request)
        if not request.model:
            raise InvalidRequest("model is required")
        began = time.perf_counter_ns()
        opened = _spoken_by(request.template, await self._opener.open(request.model, request.options))
        keep_alive = keep_alive_seconds(request.keep_alive)

        def chunk(message: Message, tokens: int = 1, logprobs: list[Logprob] | None = None, **last: Any) -> ChatChunk:
            return ChatChunk(
                model=request.model,
                created_at=_now(),
                message=message,
                done=bool(last),
                tokens=tokens,
                logprobs=logprobs,
                **last,
            )

        if not request.messages and keep_alive == 0:
            await self._opener.unload(opened)
            yield chunk(Message("assistant"), done_reason="unload")
            return
        think = think_of(request, opened.capabilities)
        check_chat(request, opened.capabilities, opened.model.name.full)
        choice = tool_choice_of(request)
        markers = reading_markers(request, await asyncio.to_thread(self._catalog.markers, opened.model))
        think = _heard(think, request, markers)
        grammar = await asyncio.to_thread(answer_grammar, request, markers, think)
        messages = _history(request.messages, opened, markers)
        media = RequestMedia(messages)
        media.check(opened.capabilities, opened.model.name.full)

        def render(some: list[Message]) -> str:
            return opened.template.render(some, tools=choice.shown, think=think, mark=media.mark)

        if request.debug_render_only:
            images = sum(len(message.images or ()) for message in messages)
            info = DebugInfo(media.shown(await asyncio.to_thread(render, messages)), images)
            yield ChatChunk(
                model=request.model, created_at=_now(), message=Message("assistant"), done=False, debug_info=info
            )
            return
        use: Use = "answer" if request.messages else "load"
        async with self._opener.lease(opened, keep_alive, request=running, use=use) as lease:
            if not request.messages:
                yield chunk(Message("assistant"), done_reason="load", notices=list(lease.notices))
                return
            async with running.breakable():
                await media.measure(lease.runner)
                fitted = await self._fit(opened, lease.runner, messages, render, request.truncate, media)
            prompt, tokens, dropped = fitted.prompt, fitted.tokens, len(messages) - len(fitted.messages)
            parser = OutputParser(
                markers,
                tools=choice.shown,
                think=think,
                starts_in_thinking=bool(think) and markers.starts_in_thinking(prompt),
                most_calls=None if choice.several else 1,
            )
            frame = self._generate_frame(opened, lease, fitted, request, grammar, free_text(markers, prompt, think))
            frame.preserved = list(markers.preserved)
            cut = len(tokens) - len(frame.tokens)
            async with contextlib.aclosing(_events(running.generate(lease, frame), parser)) as events:
                async for event, n, logprobs in events:
                    if isinstance(event, Done):
                        last = {**_last(event, lease, began), "dropped_messages": dropped, "truncated_tokens": cut}
                        yield chunk(Message("assistant"), logprobs=logprobs, **last)
                    else:
                        yield chunk(_message(event), n, logprobs)

    async def generate(self, request: GenerateRequest, running: Request) -> AsyncGenerator[GenerateChunk, None]:
        check_logprobs(request)
        if not request.model:
            raise ModelNotFound(request.model)
        began = time.perf_counter_ns()
        opened = await self._opener.open(request.model, request.options)
        keep_alive = keep_alive_seconds(request.keep_alive)

        def chunk(
            text: str = "",
            tokens: int = 1,
            thinking: str = "",
            logprobs: list[Logprob] | None = None,
            **last: Any,
        ) -> GenerateChunk:
            return GenerateChunk(
                model=request.model,
                created_at=_now(),
                response=text,
                thinking=thinking,
                done=bool(last),
                tokens=tokens,
                logprobs=logprobs,
                **last,
            )

        is_empty = not request.prompt and not request.suffix
        if is_empty and keep_alive == 0:
            await self._opener.unload(opened)
            yield chunk(done_reason="unload")
            return
        think = think_of(request, opened.capabilities)
        check_generate(request, opened.capabilities, opened.model.name.full)
        # What fills a hole is text of whatever stands around it, not an answer with thinking to be told from it.
        plain = request.raw or bool(request.suffix)
        markers = Markers() if plain else await asyncio.to_thread(self._catalog.markers, opened.model)
        history = [] if request.raw or request.context else opened.model.messages
        shown = [*history, Message("user", images=request.images)]
        media = RequestMedia(shown)
        media.check(opened.capabilities, opened.model.name.full)
        think = _heard(think, request, markers)
        grammar = await asyncio.to_thread(answer_grammar, request, markers, think)
        if request.debug_render_only:
            rendered = media.shown(await self._generate_text(opened, request, think, media))
            info = DebugInfo(rendered, sum(len(message.images or ()) for message in shown))
            yield GenerateChunk(model=request.model, created_at=_now(), response="", done=False, debug_info=info)
            return
        use: Use = "load" if is_empty else "answer"
        async with self._opener.lease(opened, keep_alive, request=running, use=use) as lease:
            if is_empty:
                yield chunk(done_reason="load", notices=list(lease.notices))
                return
            async with running.breakable():
                await media.measure(lease.runner)
                text = await self._generate_text(opened, request, think, media)
                before = await lease.runner.detokenize(request.context) if request.context else ""
                if request.suffix and not request.raw:
                    fitted, cut = await self._fit_hole(opened, lease.runner, request, before, text)
                else:
                    text = before + text
                    tokens, cut = await media.tokenize(lease.runner, text), 0
                    length, files = media.length(tokens, shown), media.placed(tokens, shown)
                    fitted = _Fitted(text, tokens, length, shown, files)
            tokens = fitted.tokens
            parser = OutputParser(
                markers, think=think, starts_in_thinking=bool(think) and markers.starts_in_thinking(text)
            )
            frame = self._generate_frame(opened, lease, fitted, request, grammar, free_text(markers, text, think))
            frame.preserved = list(markers.preserved)
            if request.suffix and not request.raw:
                _end_with_the_hole(frame, opened.metadata.infill)
            cut += len(tokens) - len(frame.tokens)
            frame.return_tokens = not request.raw
            async with contextlib.aclosing(_events(running.generate(lease, frame), parser)) as events:
                async for event, n, logprobs in events:
                    match event:
                        case Content(text=text):
                            yield chunk(text, n, "", logprobs)
                        case Thinking(text=text):
                            yield chunk("", n, text, logprobs)
                        case Done():
                            last = {**_last(event, lease, began), "context": event.tokens, "truncated_tokens": cut}
                            yield chunk(logprobs=logprobs, **last)

    async def count_tokens(self, request: ChatRequest, running: Request) -> int:
        """How many tokens the prompt of `request` has, nothing cut out of it."""
        if not request.model:
            raise InvalidRequest("model is required")
        opened = _spoken_by(request.template, await self._opener.open(request.model, request.options))
        think = think_of(request, opened.capabilities)
        check_chat(request, opened.capabilities, opened.model.name.full)
        choice = tool_choice_of(request)
        markers = reading_markers(request, await asyncio.to_thread(self._catalog.markers, opened.model))
        think = _heard(think, request, markers)
        messages = _history(request.messages, opened, markers)
        media = RequestMedia(messages)
        media.check(opened.capabilities, opened.model.name.full)
        prompt = await asyncio.to_thread(
            opened.template.render, messages, tools=choice.shown, think=think, mark=media.mark
        )
        keep_alive = keep_alive_seconds(request.keep_alive)
        async with self._opener.lease(opened, keep_alive, request=running, use="ask") as lease:
            await media.measure(lease.runner)
            return media.length(await media.tokenize(lease.runner, prompt), messages)

    # -- steps -------------------------------------------------------------------------------------------------

    async def _fit(
        self,
        opened: Opened,
        runner: Runner,
        messages: list[Message],
        render: Callable[[list[Message]], str],
        truncate: bool | None,
        media: RequestMedia,
    ) -> _Fitted:
        """The prompt of a conversation, the oldest turns left out where it would not fit (spec §8.2). No text is
        tokenized twice."""
        known: dict[str, list[int]] = {}

        async def count(texts: list[str]) -> list[int]:
            missing = [text for text in dict.fromkeys(texts) if text not in known]
            tokenized = await asyncio.gather(*(media.tokenize(runner, text) for text in missing))
            known.update(zip(missing, tokenized, strict=True))
            return [sum(token >= 0 for token in known[text]) for text in texts]

        prompt = await asyncio.to_thread(render, messages)
        await count([prompt])
        limit = opened.context(runner)
        if truncate is not False and media.length(known[prompt], messages) >= limit:
            messages = (await fit_messages(messages, limit - 1, count, render=render, media_tokens=media.size)).messages
            prompt = await asyncio.to_thread(render, messages)
            await count([prompt])
        tokens = known[prompt]
        return _Fitted(prompt, tokens, media.length(tokens, messages), messages, media.placed(tokens, messages))

    async def _fit_hole(
        self, opened: Opened, runner: Runner, request: GenerateRequest, before: str, text: str
    ) -> tuple[_Fitted, int]:
        """The prompt of a hole to fill in, behind the text `before` of an earlier answer where a template writes it,
        and how many tokens were left out far from the hole so that it fits."""
        n_ctx = opened.context(runner)
        room = n_ctx - 1 if request.truncate is False else prompt_room(n_ctx, opened.options.num_predict)
        if (around := _own_tokens(opened, request)) is not None:
            tokens, cut = await infill_prompt(runner, around, request.prompt, request.suffix, room)
        else:

            def render(prompt: str, suffix: str) -> str:
                return before + _render(opened, msgspec.structs.replace(request, prompt=prompt, suffix=suffix))

            tokens, cut = await insert_prompt(runner, render, request.prompt, request.suffix, room)
        if cut and request.truncate is False:
            raise PromptTooLong(TOO_LONG)
        return _Fitted(text, tokens, len(tokens), [], []), cut

    async def _generate_text(self, opened: Opened, request: GenerateRequest, think: Think, media: RequestMedia) -> str:
        if request.raw:
            return media.mark_raw(request.prompt, request.images)
        if (around := _own_tokens(opened, request)) is not None:
            return infill_text(around, request.prompt, request.suffix)
        return await asyncio.to_thread(_render, opened, request, think, media.mark)

    def _generate_frame(
        self,
        opened: Opened,
        lease: Lease,
        fitted: _Fitted,
        request: ChatRequest | GenerateRequest,
        grammar: str,
        free: FreeText | None,
    ) -> Generate:
        options, n_ctx = opened.options, opened.context(lease.runner)
        may_shift = request.shift is not False and opened.metadata.architecture != "deepseek2"
        keep = options.num_keep + bool(opened.metadata.add_bos)
        tokens = fitted.tokens
        if fitted.length >= n_ctx:
            # With images there is no cutting: the cut might be what the question is about.
            if not may_shift or request.truncate is False or fitted.media:
                raise PromptTooLong(TOO_LONG)
            tokens = _cut_middle(tokens, n_ctx, keep)
        return Generate(
            id=0,
            tokens=tokens,
            n_ctx=n_ctx,
            max_tokens=effective_num_predict(options, n_ctx),
            stop=list(options.stop),
            sampling=_sampling(options, grammar, free),
            keep=keep,
            shift=may_shift,
            media=fitted.media,
            logprobs=request.top_logprobs if request.logprobs else None,
        )


def _render(
    opened: Opened, request: GenerateRequest, think: Think = None, mark: Callable[[int], str] = image_mark
) -> str:
    return render_generate(
        (opened.inserter if request.suffix else None) or opened.template,
        request.prompt,
        system=request.system or opened.model.system or "",
        suffix=request.suffix,
        template=request.template,
        images=request.images,
        history=[] if request.context else opened.model.messages,
        think=think,
        mark=mark,
    )


def _spoken_by(template: str, opened: Opened) -> Opened:
    """A model with a chat's own Go template in the place of its own; TemplateError where that is none."""
    return replace(opened, template=GoChat(template)) if template else opened


def _own_tokens(opened: Opened, request: GenerateRequest) -> Infill | None:
    """The model's own tokens for a suffix, where its template has no form for one."""
    if not request.suffix or request.raw or request.template or opened.inserter is not None:
        return None
    return opened.metadata.infill


def _end_with_the_hole(frame: Generate, around: Infill | None) -> None:
    """Where the context is full, or the model begins another hole, this one is filled. (Its tokens for the end of an
    answer, of a file or of a repository end any answer.)"""
    frame.shift = False
    if around is not None:
        frame.stop += around.texts
        frame.preserved += around.texts


async def _events(
    answer: AsyncGenerator[Piece | Done, None], parser: OutputParser
) -> AsyncGenerator[tuple[Content | Thinking | Call | Done, int, list[Logprob] | None], None]:
    """The runner's answer, told apart into content, thinking and tool calls, each with the tokens that it took (those
    of markers and of text held back count with what comes next) and their log probabilities; its Done comes last."""
    tokens, logprobs = 0, list[protocol.Logprob]()
    async with contextlib.aclosing(answer) as parts:
        async for part in parts:
            if isinstance(part, Piece):
                tokens += part.n
                logprobs += part.logprobs
            for event in parser.push(part.text) if isinstance(part, Piece) else parser.finish():
                yield event, tokens, on_the_wire(logprobs)
                tokens, logprobs = 0, []
            if isinstance(part, Done):
                yield part, tokens, on_the_wire(logprobs)


def _heard(think: Think, request: ChatRequest | GenerateRequest, markers: Markers) -> Think:
    """What the template is told about thinking. An answer that must keep to something goes without, unless asked to,
    where nobody could tell the thinking from it."""
    told = markers.harmony or markers.thinking is not None
    return False if think and request.think is None and is_constrained(request) and not told else think


def _message(event: Event) -> Message:
    match event:
        case Content(text=text):
            return Message("assistant", text)
        case Thinking(text=text):
            return Message("assistant", thinking=text)
        case Call(call=call):
            return Message("assistant", tool_calls=[call])


def _history(messages: list[Message], opened: Opened, markers: Markers) -> list[Message]:
    """What is rendered: the model's SYSTEM unless the conversation begins with one, its MESSAGEs, the conversation."""
    model = opened.model
    system = (
        [] if not model.system or (messages and messages[0].role == "system") else [Message("system", model.system)]
    )
    messages = [*system, *model.messages, *messages]
    if opened.metadata.architecture.startswith(CUT_THINKING) or model.name.model.startswith(CUT_THINKING):
        messages = strip_thinking(messages, markers)
    return messages


def _cut_middle(tokens: list[int], n_ctx: int, keep: int) -> list[int]:
    """Keep the first `keep` tokens and as many of the last as leave room for an answer (spec §8.2)."""
    keep = min(max(keep, 0), n_ctx - 2)
    room = max(n_ctx - max((n_ctx - keep) // 2, 1), keep + 1)
    return tokens[:keep] + tokens[len(tokens) - (room - keep) :]


def _sampling(options: Options, grammar: str, free: FreeText | None) -> Sampling:
    names = set(Sampling.__struct_fields__) & set(Options.__struct_fields__)
    fields = {name: getattr(options, name) for name in names}
    return Sampling(**fields, grammar=grammar, free_text=free if grammar else None)


def _last(done: Done, lease: Lease, began: int) -> dict[str, Any]:
    """The final chunk's fields."""
    return {
        "done_reason": done.reason,
        "stop_sequence": done.stop,
        "total_duration": time.perf_counter_ns() - began,
        "load_duration": lease.load_duration,
        "notices": list(lease.notices),
        "prompt_eval_count": done.prompt_tokens,
        "cached_tokens": done.cached_tokens,
        "prompt_eval_duration": done.prompt_duration,
        "eval_count": done.output_tokens,
        "eval_duration": done.output_duration,
    }


def _now() -> str:
    # Once a chunk, so by the quicker way: strftime takes six times as long.
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
