"""A real server under load: 64 streams, clients that hang up, more requests than it takes, an end in the middle."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from tests.engine.contract.conftest import import_gguf
from tests.engine.server.sse import events
from tests.support.command_line import SECONDS, CommandLine
from tests.support.gguf_models import looping_model, scripted_model
from tests.support.live_server import live_server

TEXT = "So many a café, so many 🦙s, and each of them has a tale of its own to tell; none is the same as another."
STREAMS = 64
SLOTS = 8
ASK = [{"role": "user", "content": "Tell me."}]
LIMIT = {"num_predict": 400}
MIB = 2**20


@dataclass
class Served:
    """`ollama-tui serve`, in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def memory(self) -> int:
        """Resident bytes of the server itself, its runners not counted."""
        return psutil.Process(self.process.pid).memory_info().rss

    @property
    def files(self) -> int:
        return psutil.Process(self.process.pid).num_fds()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=self.url, timeout=SECONDS, limits=limits) as client:
            yield client


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Models `tale`, which says TEXT, and `loop`, which never ends."""
    folder = tmp_path_factory.mktemp("load")
    scripted_model(folder / "tale.gguf", TEXT)
    looping_model(folder / "loop.gguf")
    command_line = CommandLine(folder, "127.0.0.1:0", {"OLLAMA_NUM_PARALLEL": str(SLOTS), "OLLAMA_MAX_QUEUE": "256"})
    with command_line.serving() as served:
        for name in ("tale", "loop"):
            (folder / "Modelfile").write_text(f"FROM {name}.gguf\nPARAMETER num_ctx 4096\n")
            assert served.run("create", name).returncode == 0
    return command_line


@pytest.fixture
def server(home: CommandLine) -> Iterator[Served]:
    with home.start("serve") as process:
        assert process.stderr is not None
        yield Served(process, process.stderr.readline().decode().split()[4])
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def tell(http: httpx.AsyncClient, dialect: str) -> str:
    """What `tale` says, streamed in a dialect, and checked to be whole."""
    match dialect:
        case "generate":
            parts = lines((await http.post("/api/generate", json={"model": "tale", "prompt": "x"})).text)
            assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
            return "".join(part["response"] for part in parts)
        case "chat":
            parts = lines((await http.post("/api/chat", json={"model": "tale", "messages": ASK})).text)
            assert parts[-1]["done_reason"] == "stop"
            return "".join(part["message"]["content"] for part in parts)
        case "openai":
            body = {"model": "tale", "messages": ASK, "stream": True}
            *told, (_, done) = events((await http.post("/v1/chat/completions", json=body)).text)
            assert done == "[DONE]"
            return "".join(data["choices"][0]["delta"].get("content", "") for _, data in told)
        case "responses":
            body = {"model": "tale", "input": "x", "stream": True}
            told = events((await http.post("/v1/responses", json=body)).text)
            assert told[-1][0] == "response.completed"
            return "".join(data["delta"] for name, data in told if name == "response.output_text.delta")
        case _:
            body = {"model": "tale", "messages": ASK, "stream": True, "max_tokens": 200}
            told = events((await http.post("/v1/messages", json=body)).text)
            assert told[-1][0] == "message_stop"
            return "".join(data["delta"]["text"] for name, data in told if name == "content_block_delta")


DIALECTS = ("generate", "chat", "openai", "responses", "anthropic")


async def hang_up(http: httpx.AsyncClient, after: int) -> None:
    """Begin a stream that has no end, and leave it after some lines."""
    async with endless(http) as parts:
        for _ in range(after):
            await anext(parts)


@asynccontextmanager
async def endless(http: httpx.AsyncClient, **fields: Any) -> AsyncIterator[AsyncIterator[str]]:
    """The lines of an answer that ends after ten contexts, if not by `fields`; the client hangs up with the block."""
    request = {"model": "loop", "prompt": "x", **fields}
    async with http.stream("POST", "/api/generate", json=request) as answer, aclosing(answer.aiter_lines()) as parts:
        yield parts


async def idle(http: httpx.AsyncClient) -> None:
    """Wait until no model has a busy slot or a request that waits."""
    async with asyncio.timeout(SECONDS):
        while True:
            running = (await http.get("/api/ps")).json()["models"]
            if not any(model.get("slots_busy") or model.get("queued") for model in running):
                return


async def a_round(http: httpx.AsyncClient, streams: int) -> None:
    """Many streams, a third of which their clients give up."""
    told = [tell(http, DIALECTS[number % len(DIALECTS)]) for number in range(streams - streams // 3)]
    texts, _ = await asyncio.gather(
        asyncio.gather(*told), asyncio.gather(*(hang_up(http, 1 + number % 3) for number in range(streams // 3)))
    )
    assert set(texts) == {TEXT}
    await idle(http)


async def test_every_one_of_64_streams_ends_whole_and_right(server: Served) -> None:
    async with server.client() as http:
        texts = await asyncio.gather(*(tell(http, DIALECTS[number % 5]) for number in range(STREAMS)))
        assert texts == [TEXT] * STREAMS
        await idle(http)


async def test_a_client_that_hangs_up_makes_room_for_the_next(server: Served) -> None:
    async with server.client() as http, AsyncExitStack() as others:
        # All slots are taken by what never ends: nobody else is answered until one of them is free again.
        for _ in range(SLOTS - 1):
            await anext(await others.enter_async_context(endless(http)))
        request = {"model": "loop", "prompt": "x", "stream": False, "options": {"num_predict": 5}}
        async with asyncio.timeout(SECONDS):
            async with endless(http) as last_one:
                await anext(last_one)
                waiting = asyncio.ensure_future(http.post("/api/generate", json=request))
                while not (await http.get("/api/ps")).json()["models"][0].get("queued"):
                    assert not waiting.done()
            assert (await waiting).json()["eval_count"] == 5
        await others.aclose()
        await idle(http)


async def test_memory_stays_flat_over_rounds_of_streams(server: Served) -> None:
    await assert_flat(server, warm=2, rounds=3, streams=32)


@pytest.mark.soak
async def test_memory_stays_flat_over_many_rounds(server: Served) -> None:
    await assert_flat(server, warm=10, rounds=100)


async def assert_flat(server: Served, *, warm: int, rounds: int, streams: int = STREAMS) -> None:
    async with server.client() as http:
        for _ in range(warm):
            await a_round(http, streams)
        memory, files = server.memory, server.files
        for _ in range(rounds):
            await a_round(http, streams)
        assert server.memory < memory + 8 * MIB
        assert server.files <= files + 2
        metrics = (await http.get("/metrics")).text
        assert "\nollama_tui_http_requests_in_progress 1.0\n" in metrics


async def test_a_server_that_is_told_to_stop_lets_all_streams_end(home: CommandLine) -> None:
    with home.start("serve") as process:
        assert process.stderr is not None
        server = Served(process, process.stderr.readline().decode().split()[4])
        async with server.client() as http, AsyncExitStack() as others:
            streams = [await others.enter_async_context(endless(http, options=LIMIT)) for _ in range(SLOTS)]
            for each in streams:
                await anext(each)
            process.send_signal(signal.SIGTERM)
            ends = await asyncio.gather(*(last(each) for each in streams))
            assert [(end["done_reason"], end["eval_count"]) for end in ends] == [("length", 400)] * SLOTS
        assert process.wait(SECONDS) == 0


async def last(parts: AsyncIterator[str]) -> dict[str, Any]:
    return json.loads([line async for line in parts][-1])


async def test_beyond_the_queue_everybody_is_told_to_come_back(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models", num_parallel=1, max_queue=2, context_length=4096)
    async with LocalEngine(settings) as engine, live_server(engine, settings) as address:
        await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
        async with httpx.AsyncClient(base_url=address.url, timeout=SECONDS) as http:
            short = {"model": "loop", "prompt": "x", "stream": False, "options": {"num_predict": 3}}
            async with endless(http) as running:
                await anext(running)
                waiting = [asyncio.ensure_future(http.post("/api/generate", json=short)) for _ in range(2)]
                async with asyncio.timeout(SECONDS):
                    while (await http.get("/api/ps")).json()["models"][0].get("queued", 0) < 2:
                        assert not any(each.done() for each in waiting)
                for path, body in (
                    ("/api/generate", short),
                    ("/v1/chat/completions", {"model": "loop", "messages": ASK, "stream": True}),
                    ("/v1/messages", {"model": "loop", "messages": ASK, "max_tokens": 3}),
                ):
                    refused = await http.post(path, json=body)
                    assert refused.status_code == 503, path
                    assert int(refused.headers["retry-after"]) > 0
                    assert "maximum pending requests exceeded" in refused.text
            assert [(await each).json()["eval_count"] for each in waiting] == [3, 3]
