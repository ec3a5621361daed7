"""`/v1/audio/transcriptions` (spec §2.7): speech to text, by a model that hears, as a chat about the sound."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message as ASGIMessage
from starlette.types import Receive

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest, RequestCanceled, TooLarge
from ollama_engine.server.canceled import unless_canceled
from ollama_engine.server.encode import json_response
from ollama_engine.server.events import EVENTS_TYPE, event
from ollama_engine.server.merge import merge_chat
from ollama_engine.server.openai.errors import openai_error
from ollama_engine.server.openai.objects import Transcript, TranscriptEvent, TranscriptUsage
from ollama_engine.server.openai.usage import Usage
from ollama_engine.server.references import DETAILS, local_name
from ollama_engine.server.shapes import Upload
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import ChatChunk, ChatRequest, Message

MAX_UPLOAD = 25 * 1024 * 1024
"""Bytes of the whole form: OpenAI's limit and Ollama's."""

INSTRUCTIONS = (
    "You write down speech. Answer with the words that are spoken in the audio, exactly as they are spoken, "
    "and with nothing else: no introduction, no remarks, no description of sounds, no translation."
)
_FORMATS = ("json", "text", "verbose_json")


class TranscriptionForm(msgspec.Struct):
    """The fields of a form, all of them text but the file."""

    file: Upload
    """Speech, as WAV, MP3 or FLAC."""
    model: str
    language: str = ""
    prompt: str = ""
    """Words that may occur in it, and its style."""
    response_format: str = "json"
    """`json`, `text` or `verbose_json`, which is as `json`."""
    temperature: str = "0"
    stream: str = "false"


@dataclass(frozen=True)
class Transcription:
    """What a form asks for."""

    model: str
    audio: bytes
    response_format: str
    language: str
    prompt: str
    temperature: float
    stream: bool

    @property
    def request(self) -> ChatRequest:
        wishes = "Write down this audio."
        if self.language:
            wishes += f" It is spoken in {self.language}."
        if self.prompt:
            wishes += f" Words that may occur in it, and its style: {self.prompt}"
        return ChatRequest(
            local_name(self.model),
            [
                Message("system", INSTRUCTIONS),
                Message("user", wishes, images=[base64.b64encode(self.audio).decode()]),
            ],
            options={"temperature": self.temperature},
        )


class Transcriptions:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def transcribe(self, request: Request) -> Response:
        asked = await _read(request)
        if "audio" not in (await self.engine.show(local_name(asked.model, DETAILS))).capabilities:
            raise InvalidRequest(
                f'"{asked.model}" does not support audio', hint="Choose a model that hears, such as one of voxtral's."
            )
        as_text = asked.response_format == "text"
        return TranscriptAnswer(
            unless_canceled(self.engine.chat(asked.request)),
            stream=asked.stream,
            merge=lambda chunks: merge_chat(chunks).message.content.strip() if as_text else _transcript(chunks),
            wire=TranscriptEvents(),
        )


class TranscriptAnswer(StreamedAnswer[ChatChunk]):
    """The text alone where a form asks for that, else a JSON object."""

    def whole(self, merged: object) -> Response:
        return PlainTextResponse(merged) if isinstance(merged, str) else json_response(merged)


def _transcript(chunks: Sequence[ChatChunk]) -> Transcript:
    usage = msgspec.structs.asdict(Usage.of(chunks).responses())
    return Transcript(merge_chat(chunks).message.content.strip(), TranscriptUsage(type="tokens", **usage))


class TranscriptEvents:
    """The wire of a streamed transcript: its text in pieces, then whole."""

    content_type = EVENTS_TYPE
    beat = b""

    def __init__(self) -> None:
        self._chunks: list[ChatChunk] = []

    def piece(self, chunk: ChatChunk, /) -> bytes:
        self._chunks.append(chunk)
        text = chunk.message.content
        parts = [_event(TranscriptEvent("transcript.text.delta", delta=text))] if text else []
        if chunk.done:
            whole = _transcript(self._chunks)
            parts.append(_event(TranscriptEvent("transcript.text.done", text=whole.text, usage=whole.usage)))
        return b"".join(parts)

    def end(self) -> bytes:
        return b""

    def failure(self, error: EngineError) -> bytes:
        return event(openai_error(error))


def _event(told: TranscriptEvent) -> bytes:
    return event(told, told.type)


async def _read(request: Request) -> Transcription:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_UPLOAD:
        raise _too_large()
    bounded = Request(request.scope, _bounded(request.receive))
    try:
        async with bounded.form(max_files=1, max_fields=20) as form:
            return await _transcription(form)
    except HTTPException as error:  # what Starlette makes of a form that does not parse
        raise InvalidRequest(f"invalid form: {error.detail}") from error
    except ClientDisconnect as error:
        raise RequestCanceled() from error


async def _transcription(form: FormData) -> Transcription:
    file = form.get("file")
    model = _field(form, "model")
    if not model:
        raise InvalidRequest("model is required")
    if not isinstance(file, UploadFile):
        raise InvalidRequest("file is required: http: no such file", hint="Send a form with a file, as WAV or MP3.")
    response_format = _field(form, "response_format") or "json"
    if response_format not in _FORMATS:
        raise InvalidRequest(
            f"invalid response_format: {response_format!r}", hint=f"It is one of {', '.join(_FORMATS)}."
        )
    audio = await file.read()
    if not audio:
        raise InvalidRequest("audio file is empty")
    return Transcription(
        model=model,
        audio=audio,
        response_format=response_format,
        language=_field(form, "language"),
        prompt=_field(form, "prompt"),
        temperature=_temperature(_field(form, "temperature")),
        stream=_field(form, "stream").lower() in ("true", "1"),
    )


def _field(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _temperature(text: str) -> float:
    try:
        return float(text or 0)
    except ValueError as error:
        raise InvalidRequest("temperature must be a number") from error


def _bounded(receive: Receive) -> Receive:
    """`receive`, until more has come than a form may hold: the parser itself puts no limit to a file."""
    received = 0

    async def receive_bounded() -> ASGIMessage:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_UPLOAD:
            raise _too_large()
        return message

    return receive_bounded


def _too_large() -> EngineError:
    return TooLarge("file too large", hint=f"A form may hold {MAX_UPLOAD // 2**20} MiB.")
