"""RemoteEngine against servers that answer little, wrongly or not at all; the contract suite has the rest."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest

from ollama_engine.errors import (
    Busy,
    EngineError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    NotSupported,
    ServerUnreachable,
)
from ollama_engine.remote import RemoteEngine, answers
from ollama_engine.settings import HostAddress
from ollama_engine.types import ChatRequest, CreateRequest, GenerateRequest, Message, PlanRequest
from tests.support.foreign_server import RUNNING
from tests.support.live_server import live_server
from tests.support.raw_server import http_answer, raw_server
from tests.support.scripted_engine import ScriptedEngine

CHAT = ChatRequest("m", [Message("user", "x")])
OLLAMA_LINE = b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"a"},"done":%s}\n'


@pytest.fixture
def nobody() -> HostAddress:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return HostAddress(port=server.getsockname()[1])


async def test_no_server_is_said_with_the_address_and_the_way_out(nobody: HostAddress) -> None:
    async with RemoteEngine(nobody) as engine:
        for ask in (engine.version(), engine.models(), anext(engine.chat(CHAT)), engine.has_blob("sha256:0")):
            with pytest.raises(ServerUnreachable, match=nobody.url) as error:
                await ask
            assert error.value.hint == "run 'ollama-tui serve' to start one"


async def test_notices_of_a_load_come_with_the_last_chunk() -> None:
    scripted = ScriptedEngine()
    scripted.last = {"notices": ["a smaller context", "not locked"]}
    async with live_server(scripted) as address, RemoteEngine(address) as engine:
        chats = [chunk.notices async for chunk in engine.chat(ChatRequest("bard", CHAT.messages))]
        texts = [chunk.notices async for chunk in engine.generate(GenerateRequest("bard", "x"))]
    assert chats == texts == [[]] * (len(chats) - 1) + [["a smaller context", "not locked"]]


async def test_a_wildcard_address_is_asked_at_loopback(nobody: HostAddress) -> None:
    async with live_server(ScriptedEngine()) as address:
        async with RemoteEngine(HostAddress(host="0.0.0.0", port=address.port)) as engine:
            assert await engine.version() == "1.2.3"
        assert await answers(HostAddress(host="0.0.0.0", port=address.port))


async def test_a_proxy_is_never_asked_for_loopback(nobody: HostAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, nobody.url)
    async with live_server(ScriptedEngine()) as address, RemoteEngine(address) as engine:
        assert await engine.version() == "1.2.3"
        assert await answers(address)


async def test_a_key_is_sent_as_a_bearer_token() -> None:
    answer = http_answer(b'{"version":"1"}')
    async with raw_server(answer) as (raw, address), RemoteEngine(address, api_key="k3y") as engine:
        await engine.version()
    assert "authorization: bearer k3y" in raw.requests[0].lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_a_key_does_not_follow_a_redirect(status: str) -> None:
    async def blob() -> AsyncIterator[bytes]:
        yield b"x"

    async with raw_server(http_answer(b"{}")) as (thief, elsewhere):
        answer = http_answer(b"", status, f"Location: {elsewhere.url}/api/version\r\nContent-Length: 0\r\n")
        async with raw_server(answer) as (_, address), RemoteEngine(address, api_key="k3y") as engine:
            for verb in (engine.version, engine.models, lambda: engine.put_blob(f"sha256:{'0' * 64}", blob())):
                with pytest.raises(EngineError, match=f"answered {status[:3]}"):
                    await verb()
        assert not await answers(address, "k3y")
    assert thief.requests == []


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_server_that_asks_for_a_key_is_one_that_answers(status: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        refusal = http_answer(b'{"error":"unauthorized: no"}', status)
        writer.write(http_answer(b"") if head.startswith(b"HEAD / ") else refusal)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = HostAddress(port=server.sockets[0].getsockname()[1])
        assert await answers(address)
        async with RemoteEngine(address) as engine:
            with pytest.raises(EngineError, match="unauthorized: no") as error:
                await engine.models()
    assert error.value.status == int(status[:3])


@pytest.mark.parametrize("key", ["two\nlines", "größe", "\x00"])
async def test_what_cannot_be_a_key_is_not_sent(key: str) -> None:
    with pytest.raises(InvalidRequest, match="OLLAMA_API_KEY is no key") as error:
        RemoteEngine(HostAddress(), api_key=key)
    assert key not in str(error.value)


async def test_what_an_older_server_leaves_out_is_zero() -> None:
    answer = http_answer(b'{"models":[{"name":"a","size":3,"details":{"families":null},"new":1}]}')
    async with raw_server(answer) as (raw, address), RemoteEngine(address) as engine:
        [model] = await engine.models()
        [running] = await engine.running()
    assert (model.name, model.size, model.digest, model.details.families) == ("a", 3, "", None)
    assert (running.context_length, running.state, running.size_vram) == (0, "", 0)
    assert "/api/ps?loading=true" in raw.requests[1]


async def test_ollamas_own_server_measures_nothing_and_nothing_is_made_up() -> None:
    answer = http_answer(json.dumps({"models": [RUNNING]}).encode())
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        [model] = await engine.running()
    told = msgspec.to_builtins(model)
    assert all(told[field] == value for field, value in RUNNING.items() if field != "details")
    others = [getattr(model, field) for field in model.__struct_fields__ if field not in RUNNING]
    assert set(map(repr, others)) == {"''", "0", "0.0", "None", "False", "[]"}
    assert (model.keep_alive, model.expires_in) == (None, None)


async def test_ollamas_own_server_does_not_tell_its_devices() -> None:
    answer = http_answer(b"404 page not found", "404 Not Found", "Content-Type: text/plain\r\n")
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(NotSupported, match=f"{address.url} does not tell its devices"):
            await engine.devices()


@pytest.mark.parametrize("name", ["a", "llama3.2", "page"])
async def test_ollamas_own_server_plans_no_memory(name: str) -> None:
    answer = http_answer(b"404 page not found", "404 Not Found", "Content-Type: text/plain\r\n")
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(NotSupported, match=f"{address.url} plans no memory"):
            await engine.plan(PlanRequest(name))


@pytest.mark.parametrize("name", ["a", "llama3.2", "page"])
async def test_ollamas_own_server_tells_no_layers(name: str) -> None:
    answer = http_answer(b"404 page not found", "404 Not Found", "Content-Type: text/plain\r\n")
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(NotSupported, match=f"{address.url} does not tell the layers"):
            await engine.layers(name)


@pytest.mark.parametrize("body", [b'{"models":null}', b"{}", b'{"models":[]}'])
async def test_no_models_are_an_empty_list(body: bytes) -> None:
    async with raw_server(http_answer(body)) as (_, address), RemoteEngine(address) as engine:
        assert await engine.models() == []


async def test_a_line_may_hold_any_character_and_arrive_in_any_pieces() -> None:
    text = '{"model":"m","created_at":"t","response":"a\u0085b\u2028c\U0001f999","done":false}\n'.encode()
    done = b'{"model":"m","created_at":"t","response":"","done":true,"done_reason":"stop"}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in text + done) + b"0\r\n\r\n"
    answer = http_answer(chunks, headers="Transfer-Encoding: chunked\r\n")
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        pieces = [chunk.response async for chunk in engine.generate(GenerateRequest("m", "x"))]
    assert pieces == ["a\u0085b\u2028c\U0001f999", ""]


async def test_an_error_in_a_stream_is_raised_with_its_hint() -> None:
    answer = http_answer(OLLAMA_LINE % b"false" + b'{"error":"model runner has stopped","hint":"Ask again."}\n')
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        chunks = engine.chat(CHAT)
        assert (await anext(chunks)).message.content == "a"
        with pytest.raises(EngineError, match="model runner has stopped") as error:
            await anext(chunks)
        assert error.value.hint == "Ask again."


@pytest.mark.parametrize("headers", ["", "Transfer-Encoding: chunked\r\n"])
async def test_a_stream_that_ends_early_says_so(headers: str) -> None:
    line = OLLAMA_LINE % b"false"
    body = b"%x\r\n%b\r\n" % (len(line), line) if headers else line
    async with raw_server(http_answer(body, headers=headers)) as (_, address), RemoteEngine(address) as engine:
        chunks = engine.chat(CHAT)
        await anext(chunks)
        with pytest.raises(EngineError, match=f"{address.url} ended its answer before it was complete"):
            await anext(chunks)


async def test_a_create_without_success_says_so() -> None:
    async with raw_server(http_answer(b'{"status":"parsing GGUF"}\n')) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(EngineError, match="before it was complete"):
            _ = [step async for step in engine.create(CreateRequest("m", from_="x"))]


async def test_closing_a_stream_hangs_up_at_once() -> None:
    answer = http_answer(OLLAMA_LINE % b"false")
    async with raw_server(answer, hold=True) as (raw, address), RemoteEngine(address) as engine:
        async with aclosing(engine.chat(CHAT)) as chunks:
            await anext(chunks)
            assert not raw.gone.is_set()
        await asyncio.wait_for(raw.gone.wait(), 5)


async def test_cancelling_the_reader_hangs_up_at_once() -> None:
    async with raw_server(b"", hold=True) as (raw, address), RemoteEngine(address) as engine:
        task = asyncio.create_task(engine.load("m"))
        await asyncio.wait_for(raw.asked.wait(), 5)
        task.cancel()
        await asyncio.wait_for(raw.gone.wait(), 5)


async def test_refusals_come_back_as_the_errors_they_were() -> None:
    async def refused(status: str, body: bytes, headers: str = "") -> EngineError:
        async with raw_server(http_answer(body, status, headers)) as (_, address), RemoteEngine(address) as engine:
            with pytest.raises(EngineError) as error:
                await anext(engine.chat(CHAT))
            return error.value

    missing = await refused("404 Not Found", b"""{"error":"model 'm' not found"}""")
    assert isinstance(missing, ModelNotFound)
    assert (missing.name, missing.message, missing.status) == ("m", "model 'm' not found", 404)
    invalid = await refused("400 Bad Request", b'{"error":"no","hint":"yes"}')
    assert (type(invalid), invalid.message, invalid.hint) == (InvalidRequest, "no", "yes")
    busy = await refused("503 Service Unavailable", b'{"error":"later"}', "Retry-After: 7\r\n")
    assert isinstance(busy, Busy)
    assert busy.retry_after == 7.0
    dialect = await refused("418 Teapot", b'{"error":{"message":"short and stout"}}')
    assert (dialect.message, dialect.status) == ("short and stout", 418)


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(b"<html>It works!</html>"),
        http_answer(b"[]"),
        http_answer(b'{"models":5}'),
        http_answer(b'{"models":[{"name":5}]}'),
        http_answer(b"[" * 100_000),
        http_answer(b"moved", "301 Moved", "Location: http://127.0.0.1:1/\r\n"),
        http_answer(b"<html>" + b"x" * 100_000, "500 Oops"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
    ids=["html", "array", "no list", "no name", "deep", "redirect", "long error", "ssh", "nothing"],
)
async def test_what_is_no_ollama_is_one_error_that_names_the_address(answer: bytes) -> None:
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(EngineError, match=address.url) as error:
            await engine.models()
        assert len(error.value.message) < 400
        assert not await answers(address)


async def test_a_server_without_the_endpoint_is_not_a_missing_model() -> None:
    answer = http_answer(b"404 page not found", "404 Not Found")
    async with raw_server(answer) as (_, address), RemoteEngine(address) as engine:
        with pytest.raises(NotFound) as error:
            await engine.show("m")
    assert not isinstance(error.value, ModelNotFound)


async def test_a_digest_cannot_lead_to_another_endpoint() -> None:
    async with raw_server(http_answer(b"")) as (raw, address), RemoteEngine(address) as engine:
        with pytest.raises(InvalidRequest, match="invalid digest"):
            await engine.has_blob("sha256:0/../../delete")
    assert raw.requests == []


async def test_answers_tells_whether_a_server_is_there(nobody: HostAddress) -> None:
    assert not await answers(nobody)
    async with live_server(ScriptedEngine()) as address:
        assert await answers(address)
    async with raw_server(b"", hold=True) as (_, address):
        assert not await answers(address, timeout=0.05)
