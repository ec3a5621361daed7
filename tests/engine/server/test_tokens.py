"""`/api/tokenize`, `/api/detokenize`, `/healthz` and `/readyz` against a scripted engine."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from ollama_engine.errors import StoreError
from ollama_engine.server.app import create_app
from ollama_engine.server.drain import Drain
from ollama_engine.settings import Settings
from ollama_engine.types import TokenizeRequest
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine


@pytest.mark.parametrize("field", ["content", "text"])
async def test_tokenize_and_detokenize(http: httpx.AsyncClient, field: str) -> None:
    answer = await http.post("/api/tokenize", json={"model": "bard", field: "Hi"})
    assert (answer.status_code, answer.json()) == (200, {"model": "bard", "tokens": [72, 105]})
    answer = await http.post("/api/detokenize", json={"model": "bard", "tokens": [72, 105]})
    assert (answer.status_code, answer.json()) == (200, {"model": "bard", "content": "Hi"})


async def test_what_is_asked_reaches_the_engine(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    body = {"model": "bard", "content": "x", "add_special": True, "parse_special": False, "keep_alive": 0}
    await http.post("/api/tokenize", json=body)
    assert engine.asked == [TokenizeRequest("bard", "x", add_special=True, parse_special=False, keep_alive=0)]


@pytest.mark.parametrize("path", ["/api/tokenize", "/api/detokenize"])
async def test_what_is_wrong(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.post(path, json={"content": "x"})).json() == {"error": "model is required"}
    assert (await http.post(path, json={"model": "nope"})).status_code == 404
    assert (await http.post(path, json={"model": "bard", "content": 3, "tokens": "x"})).status_code == 400


async def test_a_client_that_hangs_up_ends_the_work(engine: ScriptedEngine) -> None:
    engine.step = asyncio.Event()
    async with live_server(engine) as address:
        _, writer = await asyncio.open_connection(address.host, address.port)
        body = json.dumps({"model": "bard", "content": "x"}).encode()
        writer.write(b"POST /api/tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await asyncio.wait_for(engine.waiting.wait(), 5)
        writer.close()
        await asyncio.wait_for(engine.closed_early.wait(), 5)


async def test_health(http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/healthz", "/readyz"):
        assert (await http.get(path)).status_code == 200
        assert (await http.head(path)).status_code == 200

    async def broken() -> None:
        raise StoreError("the models cannot be read")

    monkeypatch.setattr(engine, "models", broken)
    assert (await http.get("/healthz")).status_code == 200
    assert (await http.get("/readyz")).status_code == 507


async def test_a_server_that_drains_lives_and_is_not_ready(engine: ScriptedEngine) -> None:
    drain = Drain()
    drain.begin()
    transport = httpx.ASGITransport(app=create_app(engine, Settings(), drain=drain))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:11434") as http:
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
