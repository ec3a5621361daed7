"""Streams over a real socket: each piece leaves when it is made, and hanging up ends the work."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from ollama_engine.errors import RunnerDied
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine

CHAT = {"model": "bard", "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
def engine() -> ScriptedEngine:
    engine = ScriptedEngine(["one", "two", "three"])
    engine.step = asyncio.Event()
    return engine


async def test_each_piece_arrives_before_the_next_is_made(engine: ScriptedEngine) -> None:
    assert engine.step is not None
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
        async with http.stream("POST", "/api/chat", json=CHAT) as answer:
            assert answer.headers["content-type"] == "application/x-ndjson"
            assert answer.headers["transfer-encoding"] == "chunked"
            texts = []
            async for line in answer.aiter_lines():
                texts.append(json.loads(line)["message"]["content"])
                engine.step.set()  # only now may the next one be said
        assert texts == ["one", "two", "three", ""]
    assert not engine.closed_early.is_set()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_hangs_up_ends_the_work(engine: ScriptedEngine, stream: bool) -> None:
    async with live_server(engine) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        body = json.dumps(CHAT | {"stream": stream}).encode()
        writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.wait_for(engine.waiting.wait(), 5)
        if stream:
            assert b"one" in await reader.readuntil(b"done")
        assert not engine.closed_early.is_set()
        writer.close()
        await asyncio.wait_for(engine.closed_early.wait(), 5)


async def test_an_upload_that_breaks_off_ends_the_work(engine: ScriptedEngine) -> None:
    async with live_server(engine) as address:
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(
            b"POST /api/blobs/sha256:%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf" % (b"0" * 64)
        )
        await writer.drain()
        writer.close()
        await asyncio.wait_for(engine.closed_early.wait(), 5)
    assert engine.blobs == {}


async def test_an_error_after_the_first_byte_is_the_last_line(engine: ScriptedEngine) -> None:
    engine.pieces, engine.step = ["one", RunnerDied("model runner has unexpectedly stopped")], None
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
        answer = await http.post("/api/chat", json=CHAT)
        assert answer.status_code == 200
        assert json.loads(answer.text.splitlines()[-1]) == {"error": "model runner has unexpectedly stopped"}


async def test_many_streams_run_side_by_side(engine: ScriptedEngine) -> None:
    engine.step = None
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
        answers = await asyncio.gather(*(http.post("/api/chat", json=CHAT) for _ in range(32)))
    assert {len(answer.text.splitlines()) for answer in answers} == {4}


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(engine: ScriptedEngine) -> None:
    async with live_server(engine) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.close()
    assert head.startswith(b"HTTP/1.1 413 ")
