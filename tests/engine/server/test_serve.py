"""The server's life: binding, draining, ending."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from ollama_engine.server.listener import CannotListen, listen
from ollama_engine.server.loop import new_event_loop
from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine

ROOT = Path(__file__).parents[3]
REQUEST = {"model": "bard", "prompt": "x"}


@dataclass
class Served:
    process: asyncio.subprocess.Process
    http: httpx.AsyncClient

    async def step(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()

    async def refuses(self) -> httpx.Response:
        """The first refusal, once the signal has arrived."""
        while (answer := await self.http.get("/api/version")).status_code == 200:
            pass
        return answer

    async def end(self) -> tuple[int, str]:
        assert self.process.stdout is not None
        last_words = await self.process.stdout.read()
        return await self.process.wait(), last_words.decode()


@asynccontextmanager
async def served(drain_seconds: float) -> AsyncIterator[Served]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.serve_scripted", str(drain_seconds), cwd=ROOT, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=url) as http:
            yield Served(process, http)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_ends_with_status_0(number: signal.Signals) -> None:
    async with served(60) as server:
        assert (await server.http.get("/")).status_code == 200
        server.process.send_signal(number)
        assert await server.end() == (0, "closed\n")


async def test_a_running_stream_finishes_while_new_requests_are_refused() -> None:
    async with served(60) as server, server.http.stream("POST", "/api/generate", json=REQUEST) as answer:
        lines = answer.aiter_lines()
        assert json.loads(await anext(lines))["response"] == "one"
        server.process.send_signal(signal.SIGTERM)
        refusal = await server.refuses()
        assert (refusal.status_code, refusal.json()) == (503, {"error": "the server is shutting down"})
        assert int(refusal.headers["retry-after"]) > 0
        await server.step()
        rest = [json.loads(line) async for line in lines]
        assert [line["response"] for line in rest] == ["two", ""]
        assert rest[-1]["done"] is True
        assert await server.end() == (0, "closed\n")


async def test_a_stream_that_outlasts_the_drain_is_told_why_it_ends() -> None:
    async with served(0.2) as server, server.http.stream("POST", "/api/generate", json=REQUEST) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        server.process.send_signal(signal.SIGTERM)
        assert [json.loads(line) async for line in lines] == [{"error": "the server is shutting down"}]
        assert await server.end() == (0, "closed\n")


async def test_a_second_signal_ends_at_once() -> None:
    async with served(3600) as server, server.http.stream("POST", "/api/generate", json=REQUEST) as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        server.process.send_signal(signal.SIGTERM)
        await server.refuses()
        server.process.send_signal(signal.SIGINT)
        assert [json.loads(line) async for line in lines] == [{"error": "the server is shutting down"}]
        assert await server.end() == (0, "closed\n")


async def test_a_taken_port_is_one_clear_line_and_the_engine_is_closed() -> None:
    engine = ScriptedEngine()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as error:
            await serve(Settings(host=HostAddress(port=port)), engine)
    assert error.value.message == f"cannot listen at http://127.0.0.1:{port}: the address is already in use"
    assert "127.0.0.1:11435" in error.value.hint
    assert engine.closed


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "this machine has no such address"), ("x" * 70, "no such host")],
)
def test_an_address_of_elsewhere_is_named(host: str, words: str) -> None:
    with pytest.raises(CannotListen, match=words) as error:
        listen(HostAddress(host=host, port=0))
    assert host in error.value.message
    assert "\n" not in error.value.message


def test_a_name_is_bound_at_its_ipv4_address_and_port_0_at_a_real_port() -> None:
    listener, address = listen(HostAddress(host="localhost", port=0))
    with listener:
        assert (address.host, address.port) == listener.getsockname()
        assert (address.host, address.port > 0) == ("127.0.0.1", True)


async def test_small_writes_are_not_held_back() -> None:
    """Nagle's algorithm and a client's delayed acknowledgements cost 40 ms an answer, and a token."""
    held_back: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        held_back.set_result(not accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener, address = listen(HostAddress(port=0))
    async with await asyncio.start_server(accept, sock=listener):
        _, writer = await asyncio.open_connection(address.host, address.port)
        assert not await asyncio.wait_for(held_back, 10)
        writer.close()


async def test_a_listening_server_says_where_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="ollama_engine"):
        async with live_server(ScriptedEngine()) as address, httpx.AsyncClient(base_url=address.url) as http:
            answer = await http.get("/api/version")
    assert "server" not in answer.headers
    mine = [record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "ollama_engine"))]
    assert mine == [f"listening at {address.url}"]


def test_the_loop_is_uvloops_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = new_event_loop()
    loop.close()
    assert type(loop).__module__.startswith("uvloop") or sys.platform == "win32"
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert type(loop).__module__.startswith("asyncio")
