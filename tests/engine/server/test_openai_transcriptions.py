"""`/v1/audio/transcriptions` against a scripted engine."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from ollama_engine.errors import RunnerDied
from ollama_engine.server.openai import transcriptions
from ollama_engine.types import ChatRequest, ModelInfo
from tests.engine.server.sse import events
from tests.support.scripted_engine import ScriptedEngine

WAV = b"RIFF....WAVE"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """One whose models hear."""
    engine = ScriptedEngine([" To be,", " or not. "])
    show = engine.show

    async def hearing(name: str, *, verbose: bool = False) -> ModelInfo:
        info = await show(name, verbose=verbose)
        info.capabilities.append("audio")
        return info

    monkeypatch.setattr(engine, "show", hearing)
    return engine


async def ask(http: httpx.AsyncClient, audio: bytes | None = WAV, **fields: Any) -> httpx.Response:
    files = None if audio is None else {"file": ("speech.wav", audio)}
    return await http.post("/v1/audio/transcriptions", data={"model": "bard", **fields}, files=files)


async def test_a_transcript(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(http, language="en", prompt="Hamlet")
    assert (answer.status_code, answer.json()["text"]) == (200, "To be, or not.")
    assert answer.json()["usage"]["total_tokens"] == 5
    [request] = engine.asked
    assert isinstance(request, ChatRequest)
    assert request.options == {"temperature": 0.0}
    system, user = request.messages
    assert system.role == "system"
    assert base64.b64decode((user.images or [""])[0]) == WAV
    assert "en" in user.content
    assert "Hamlet" in user.content


async def test_text_alone(http: httpx.AsyncClient) -> None:
    answer = await ask(http, response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "To be, or not."
    assert (await ask(http, response_format="verbose_json")).json()["text"] == "To be, or not."


async def test_a_streamed_transcript(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    told = events((await ask(http, stream="true")).text)
    assert [name for name, _ in told] == ["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]
    assert [data["delta"] for _, data in told[:2]] == [" To be,", " or not. "]
    assert told[-1][1]["text"] == "To be, or not."
    engine.pieces = ["one", RunnerDied("it died")]
    assert events((await ask(http, stream="true")).text)[-1][1]["error"]["message"] == "it died"


@pytest.mark.parametrize(
    ("audio", "fields", "message"),
    [
        (WAV, {"model": ""}, "model is required"),
        (None, {}, "file is required: http: no such file"),
        (b"", {}, "audio file is empty"),
        (WAV, {"response_format": "srt"}, "invalid response_format: 'srt'"),
        (WAV, {"temperature": "hot"}, "temperature must be a number"),
    ],
)
async def test_what_is_wrong(
    http: httpx.AsyncClient, audio: bytes | None, fields: dict[str, Any], message: str
) -> None:
    answer = await ask(http, audio, **fields)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def test_a_model_that_does_not_hear(
    http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "show", ScriptedEngine().show)
    answer = await ask(http)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, '"bard" does not support audio')
    assert (await ask(http, model="nope")).status_code == 404


async def test_a_broken_form(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await http.post("/v1/audio/transcriptions", content=b"no boundary here", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert (await http.post("/v1/audio/transcriptions", json={"model": "bard"})).status_code == 400


async def test_a_form_that_is_too_large_is_refused(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcriptions, "MAX_UPLOAD", 1000)
    assert (await ask(http, b"x" * 2000)).status_code == 413

    async def body() -> Any:  # of no announced length
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(20):
            yield b"y" * 100

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await http.post("/v1/audio/transcriptions", content=body(), headers=headers)
    assert answer.status_code == 413
