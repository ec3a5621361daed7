"""Connections within bounds: heads that are too large, clients that are too slow, too many of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import pytest

from ollama_engine.server.security.connections import IDLE_SECONDS, LINGER_SECONDS, MAX_PIPELINED, MIN_RATE
from ollama_engine.settings import HostAddress, Settings
from tests.support.live_server import live_server, threaded_server
from tests.support.raw_client import Clock, RawClient, ask, raw_client, request
from tests.support.scripted_engine import ScriptedEngine

VERSION = request("GET", "/api/version")
SETTINGS = replace(Settings(), client_timeout=30.0)
MEGABYTE = 1 << 20


def announcing(path: str, length: int) -> bytes:
    """The head of a request whose body is still to come."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


async def until_seen(client: RawClient, clock: Clock) -> None:
    """Wait until the server has read what was sent: the loop has nothing left to do at once."""
    await client.writer.drain()
    await clock.advance(0.0)
    await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def shared() -> Iterator[HostAddress]:
    """One server for what leaves no trace in it."""
    with threaded_server(SETTINGS, ScriptedEngine()) as address:
        yield address


@pytest.mark.parametrize(
    ("head", "status", "words"),
    [
        (request("GET", "/api/version", b"", f"X: {'x' * 70_000}"), 431, "head is too large"),
        (request("GET", "/api/version", b"", *[f"X-{n}: 1" for n in range(100)]), 431, "head is too large"),
        (request("GET", "/api/version?" + "q" * 20_000), 414, "address is too long"),
        (b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * MEGABYTE, 431, "head is too large"),
        (b"GET /" + b"x" * MEGABYTE, 414, "address is too long"),
    ],
    ids=["long field", "many fields", "long address", "field without end", "address without end"],
)
async def test_a_head_that_is_too_large_is_refused(shared: HostAddress, head: bytes, status: int, words: str) -> None:
    answer = await ask(shared, head)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert words in answer.error


async def test_a_head_up_to_the_limits_is_taken(shared: HostAddress) -> None:
    fields = [f"X-{n}: {'x' * 600}" for n in range(98)]
    assert (await ask(shared, request("GET", "/api/version", b"", *fields))).status == 200


async def test_a_refusal_has_the_shape_of_the_dialect_that_was_asked(shared: HostAddress) -> None:
    fields = [f"X-{n}: 1" for n in range(100)]
    openai = (await ask(shared, request("POST", "/v1/chat/completions", b"", *fields))).json()
    anthropic = (await ask(shared, request("POST", "/v1/messages", b"", *fields))).json()
    assert openai["error"]["message"] == "the request's head is too large"
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "api_error")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /api/version HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /api/version HTTP/1.1\nHost: localhost\n\n",
        b"GET /api/version HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["TLS", "HTTP/2", "blank in name", "bare newlines", "NUL", "no ASCII", "CONNECT"],
)
async def test_what_is_no_http_is_refused_and_the_server_goes_on(shared: HostAddress, data: bytes) -> None:
    async with raw_client(shared) as client:
        await client.send(data)
        assert b" 400 " in (await client.ended()).partition(b"\r\n")[0]
    assert (await ask(shared, VERSION)).status == 200


@pytest.mark.parametrize(
    "framing",
    [
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: +2"],
        ["Content-Length: 99999999999999999999999"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: x"],
    ],
)
async def test_a_body_of_doubtful_length_is_refused(shared: HostAddress, framing: list[str]) -> None:
    """Where a proxy and the server could disagree on it, a second request might hide in it."""
    head = "\r\n".join(["POST /api/copy HTTP/1.1", "Host: localhost", *framing, "", ""]).encode()
    async with raw_client(shared) as client:
        await client.send(head + b'{"source":"bard","destination":"smuggled"}')
        assert b" 400 " in (await client.ended()).partition(b"\r\n")[0]
    tags = await ask(shared, request("GET", "/api/tags"))
    assert [model["name"] for model in tags.json()["models"]] == ["bard:latest"]


async def test_a_trailer_is_no_part_of_the_head(shared: HostAddress) -> None:
    chunked = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b'10\r\n{"model":"bard"}\r\n0\r\nHost: evil.example\r\nContent-Encoding: br\r\n\r\n'
    assert (await ask(shared, chunked + body)).status == 200
    endless = await ask(shared, chunked + b"2\r\n{}\r\n0\r\nX: " + b"x" * MEGABYTE)
    assert (endless.status, "chunks say too much" in endless.error) == (431, True)


async def test_a_chunk_extension_without_end_is_refused(shared: HostAddress) -> None:
    chunked = b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await ask(shared, chunked + b"2;" + b"x" * MEGABYTE)
    assert answer.status == 431


async def test_a_client_that_offers_http_2_is_answered_in_http_1(shared: HostAddress) -> None:
    """As Java's does with every request."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
    body = b'{"model":"bard"}'
    async with raw_client(shared) as client:
        for _ in range(2):
            await client.send(request("POST", "/api/show", body, *offer) + request("GET", "/api/version", b"", *offer))
            assert (await client.answer()).json()["capabilities"] == ["completion"]
            assert (await client.answer()).json() == {"version": "1.2.3"}
        head, content = request("POST", "/api/show", body, *offer).split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        await client.send(content)
        assert (await client.answer()).status == 200


# Slow clients


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /api/version HTTP/1.1\r\nHost: loc"])
async def test_a_head_has_its_time_however_often_something_comes(begun: bytes) -> None:
    async with live_server(ScriptedEngine(), SETTINGS) as address, raw_client(address) as client:
        clock = Clock()
        await client.send(begun)
        await until_seen(client, clock)
        await clock.advance(20)
        await client.send(begun and b"\r\n" if begun == b"\r\n" else begun and b"a")
        await until_seen(client, clock)
        assert not client.reader.at_eof()
        await clock.advance(20)
        said = await client.ended()
    assert (b" 408 " in said) == begun.startswith(b"GET")


async def test_a_silent_body_ends_the_request() -> None:
    async with live_server(ScriptedEngine(), SETTINGS) as address, raw_client(address) as client:
        clock = Clock()
        await client.send(announcing("/api/show", 100))
        await until_seen(client, clock)
        await clock.advance(31)
        answer = await client.answer()
        assert (answer.status, answer.error) == (408, "the request's body took too long to come")
        assert await client.ended() == b""


async def test_a_body_that_trickles_ends_the_request_and_one_that_flows_does_not() -> None:
    long = announcing("/api/show", 1_000_000)
    async with (
        live_server(ScriptedEngine(), SETTINGS) as address,
        raw_client(address) as slow,
        raw_client(address) as steady,
    ):
        clock = Clock()
        for client in (slow, steady):
            await client.send(long)
            await until_seen(client, clock)
        for _ in range(8):
            await slow.send(b" ")
            await steady.send(b" " * 10 * MIN_RATE)
            await until_seen(steady, clock)
            await clock.advance(5)
        assert (await slow.answer()).status == 408
        assert not steady.reader.at_eof()
        await steady.send(b" " * (1_000_000 - 80 * MIN_RATE))
        assert (await steady.answer()).error == "missing request body"


async def test_a_body_that_the_server_is_slow_to_take_is_nobodys_fault() -> None:
    engine = SlowDisk()
    digest = "sha256:" + "0" * 64
    async with live_server(engine, SETTINGS) as address, raw_client(address) as client:
        clock = Clock()
        head = announcing(f"/api/blobs/{digest}", 4 * MEGABYTE)
        sending = asyncio.create_task(client.send(head + bytes(4 * MEGABYTE)))
        await asyncio.wait_for(engine.writing.wait(), 10)
        await until_seen(client, clock)
        await clock.advance(300)
        engine.go_on.set()
        assert (await client.answer()).status == 201
        await sending


class SlowDisk(ScriptedEngine):
    """Takes the first piece of a blob, and the next ones when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writing, self.go_on = asyncio.Event(), asyncio.Event()

    async def put_blob(self, digest: str, data: object) -> bool:
        async for _ in data:  # pyright: ignore[reportGeneralTypeIssues] - an AsyncIterable
            self.writing.set()
            await self.go_on.wait()
        return True


async def test_an_idle_connection_is_closed_and_an_answer_has_all_the_time_it_needs() -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    async with live_server(engine, SETTINGS) as address, raw_client(address) as idle, raw_client(address) as busy:
        clock = Clock()
        await idle.send(VERSION)
        assert (await idle.answer()).status == 200
        await busy.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}'))
        await asyncio.wait_for(engine.waiting.wait(), 10)
        await clock.advance(IDLE_SECONDS - 20)
        assert not idle.reader.at_eof()
        await clock.advance(10_000)
        assert await idle.ended() == b""
        engine.step.set()
        assert json.loads((await busy.answer()).body.splitlines()[-1])["done"] is True


async def test_a_client_that_does_not_read_is_let_go_and_its_work_ends() -> None:
    engine = Endless()
    async with live_server(engine, SETTINGS) as address, raw_client(address) as client:
        clock = Clock()
        await client.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}'))
        await client.reader.readuntil(b"\r\n\r\n")
        for _ in range(100):  # until what lies between is full, and then for as long as it takes
            await until_seen(client, clock)
            await clock.advance(31)
            if engine.closed_early.is_set():
                break
        assert engine.closed_early.is_set()


class Endless(ScriptedEngine):
    async def _said(self) -> AsyncGenerator[str, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        try:
            while True:
                yield "x" * MEGABYTE
                await asyncio.sleep(0)
        finally:
            self.closed_early.set()


async def test_what_is_left_of_a_body_that_was_refused_has_a_moment_to_come() -> None:
    long = announcing("/api/show", 99_999_999)
    async with live_server(ScriptedEngine(), SETTINGS) as address, raw_client(address) as client:
        clock = Clock()
        await client.send(long + b"{")
        assert (await client.answer()).status == 413
        await client.send(b" " * 100_000)
        await until_seen(client, clock)
        await clock.advance(LINGER_SECONDS + 1)
        assert await client.ended() == b""


# Many clients


async def test_a_new_connection_takes_the_place_of_the_one_that_idles_longest() -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    async with (
        live_server(engine, replace(SETTINGS, max_connections=3)) as address,
        raw_client(address) as busy,
        raw_client(address) as first,
        raw_client(address) as second,
    ):
        await busy.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}'))
        await asyncio.wait_for(engine.waiting.wait(), 10)
        for client in (first, second):
            await client.send(VERSION)
            assert (await client.answer()).status == 200
        assert (await ask(address, VERSION)).status == 200
        assert await first.ended() == b""
        await second.send(VERSION)
        assert (await second.answer()).status == 200
        engine.step.set()
        assert (await busy.answer()).status == 200


async def test_where_every_connection_is_at_work_a_new_one_is_told_to_come_again() -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    async with live_server(engine, replace(SETTINGS, max_connections=1)) as address, raw_client(address) as busy:
        await busy.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}'))
        await asyncio.wait_for(engine.waiting.wait(), 10)
        for _ in range(3):
            answer = await ask(address, VERSION)
            assert (answer.status, answer.error, answer.headers["retry-after"]) == (503, "too many connections", "5")
        engine.step.set()
        assert (await busy.answer()).status == 200
        await busy.send(VERSION)
        assert (await busy.answer()).status == 200


async def test_requests_in_a_row_are_answered_in_turn(shared: HostAddress) -> None:
    async with raw_client(shared) as client:
        await client.send(VERSION * 5 + request("GET", "/nowhere"))
        assert [(await client.answer()).status for _ in range(6)] == [200] * 5 + [404]


async def test_too_many_requests_in_a_row_end_the_connection_and_all_that_it_began() -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    async with live_server(engine) as address, raw_client(address) as client:
        await client.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}'))
        await asyncio.wait_for(engine.waiting.wait(), 10)
        await client.send(VERSION * (MAX_PIPELINED + 2))
        await client.ended()
        await asyncio.wait_for(engine.closed_early.wait(), 10)


async def test_hanging_up_ends_a_request_that_another_one_waits_behind() -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    async with live_server(engine) as address:
        async with raw_client(address) as client:
            await client.send(request("POST", "/api/generate", b'{"model":"bard","prompt":"x"}') + VERSION)
            await asyncio.wait_for(engine.waiting.wait(), 10)
        await asyncio.wait_for(engine.closed_early.wait(), 10)
