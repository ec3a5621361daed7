"""`/v1/completions` (spec §2.3): text that goes on, with the model's template around the prompt as Ollama has it.

Better than Ollama: several prompts, `n`, `echo`, and log probabilities in their old shape. `raw` (an extra key,
which is Ollama's) leaves the template out.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.server.canceled import unless_canceled
from ollama_engine.server.decode import read_request
from ollama_engine.server.events import DONE, EVENTS_TYPE, event
from ollama_engine.server.merge import is_whole, merge_generate
from ollama_engine.server.openai.chat import FINGERPRINT, Heading, StreamOptions
from ollama_engine.server.openai.errors import openai_error
from ollama_engine.server.openai.objects import CompletionUsage, TextChoice, TextCompletion, TextLogprobs
from ollama_engine.server.openai.sampling import SamplingKeys, choices, options_of, stop_strings
from ollama_engine.server.openai.usage import Usage
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import Texts
from ollama_engine.server.side_by_side import side_by_side
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import DebugInfo, GenerateChunk, GenerateRequest, Logprob


class CompletionRequest(SamplingKeys, kw_only=True):
    model: str
    prompt: Texts
    suffix: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    logprobs: int | None = None
    echo: bool = False
    raw: bool = False
    """Without the chat template (Ollama's key)."""
    debug_render_only: bool = msgspec.field(name="_debug_render_only", default=False)


class Completions:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def complete(self, request: Request) -> Response:
        body = await read_request(request, CompletionRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        requests = generate_requests(body)
        heading = Heading(body.model, id=f"cmpl-{secrets.token_hex(12)}")
        texts = [ChoiceInTheMaking(number, each.prompt if body.echo else "") for number, each in enumerate(requests)]
        return StreamedAnswer(
            side_by_side([unless_canceled(self.engine.generate(each)) for each in requests]),
            stream=body.stream,
            merge=lambda pieces: _text_completion(heading, texts, pieces),
            is_whole=lambda piece: is_whole(piece[1]),
            wire=CompletionEvents(
                heading, texts, include_usage=bool(body.stream_options and body.stream_options.include_usage)
            ),
        )


def generate_requests(body: CompletionRequest) -> list[GenerateRequest]:
    """A request of Ollama's for each choice: `n` of the first prompt, then of the next."""
    stop = stop_strings(body.stop, strict=True)
    if body.top_p == 0:  # what a client of an older kind means by leaving it out
        body.top_p = None
    return [
        GenerateRequest(
            local_name(body.model),
            prompt,
            suffix=body.suffix,
            raw=body.raw,
            keep_alive=body.keep_alive,
            options=options_of(body, max_tokens=body.max_tokens, stop=stop, choice=choice) or None,
            logprobs=body.logprobs is not None,
            top_logprobs=body.logprobs or 0,
            debug_render_only=body.debug_render_only,
        )
        for prompt in _prompts(body.prompt)
        for choice in range(choices(body))
    ]


def _prompts(prompt: Any) -> list[str]:
    prompts = prompt if isinstance(prompt, list) else [prompt]
    if not prompts or not all(isinstance(each, str) for each in prompts):
        raise InvalidRequest("invalid prompt", hint="It is a string or a list of strings; tokens are not taken.")
    if not all(prompts):
        raise InvalidRequest("prompt is required")
    return prompts


class ChoiceInTheMaking:
    """One choice in the making. `echo` is the prompt where it is to stand before the answer."""

    def __init__(self, number: int, echo: str) -> None:
        self.number = number
        self._echo = echo
        self._offset = len(echo)

    def next(self, text: str, logprobs: Sequence[Logprob] | None, reason: str | None) -> TextChoice:
        """The next text of the choice, with what is known of its tokens."""
        text, self._echo = self._echo + text, ""
        legacy = self._legacy(logprobs) if logprobs else None
        return TextChoice(text=text, index=self.number, logprobs=legacy, finish_reason=reason)

    def _legacy(self, logprobs: Sequence[Logprob]) -> TextLogprobs:
        offsets: list[int] = []
        for entry in logprobs:
            offsets.append(self._offset)
            self._offset += len(entry.token)
        return TextLogprobs(
            tokens=[entry.token for entry in logprobs],
            token_logprobs=[entry.logprob for entry in logprobs],
            top_logprobs=[{top.token: top.logprob for top in entry.top_logprobs or ()} for entry in logprobs],
            text_offset=offsets,
        )


def _reason(chunk: GenerateChunk) -> str:
    return "length" if chunk.done_reason in ("length", "repetition") else "stop"


def _object(
    heading: Heading,
    choices: list[TextChoice],
    usage: CompletionUsage | None = None,
    debug_info: DebugInfo | None = None,
) -> TextCompletion:
    return TextCompletion(
        id=heading.id,
        object="text_completion",
        created=heading.created,
        model=heading.model,
        system_fingerprint=FINGERPRINT,
        choices=choices,
        usage=usage,
        debug_info=debug_info,
    )


def _text_completion(
    heading: Heading, texts: Sequence[ChoiceInTheMaking], pieces: Sequence[tuple[int, GenerateChunk]]
) -> TextCompletion:
    by_choice: dict[int, list[GenerateChunk]] = {}
    for number, chunk in pieces:
        by_choice.setdefault(number, []).append(chunk)
    merged = [(number, merge_generate(chunks)) for number, chunks in sorted(by_choice.items())]
    return _object(
        heading,
        [texts[number].next(chunk.response, chunk.logprobs, _reason(chunk)) for number, chunk in merged],
        Usage.of(chunk for _, chunk in pieces).completions(),
        merged[0][1].debug_info,
    )


class CompletionEvents:
    """The wire of a streamed answer: `text_completion` after `text_completion`, then [DONE]."""

    content_type = EVENTS_TYPE
    beat = b""

    def __init__(self, heading: Heading, texts: Sequence[ChoiceInTheMaking], *, include_usage: bool) -> None:
        self._heading = heading
        self._texts = texts
        self._include_usage = include_usage
        self._usage = Usage()

    def piece(self, piece: tuple[int, GenerateChunk]) -> bytes:
        number, chunk = piece
        self._usage.add(chunk)
        if not (chunk.response or chunk.logprobs or chunk.done):
            return b""
        reason = _reason(chunk) if chunk.done else None
        return event(_object(self._heading, [self._texts[number].next(chunk.response, chunk.logprobs, reason)]))

    def end(self) -> bytes:
        return event(_object(self._heading, [], self._usage.completions())) + DONE if self._include_usage else DONE

    def failure(self, error: EngineError) -> bytes:
        return event(openai_error(error)) + DONE
