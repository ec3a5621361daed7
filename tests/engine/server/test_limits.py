"""How much a body may hold: as announced, and as it comes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import zstandard

from ollama_engine.server.app import create_app
from ollama_engine.server.security.limits import SMALL
from ollama_engine.settings import Settings
from tests.support.scripted_engine import ScriptedEngine

MANY = b" " * 5000
BODY = b'{"model":"bard","messages":[{"role":"user","content":"x"}],"max_tokens":9,"prompt":"x","input":"x"}'


@asynccontextmanager
async def client(**settings: int) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ScriptedEngine(), Settings(**settings))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as http:
        yield http


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body whose length is not announced."""
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.mark.parametrize(
    "path", ["/api/chat", "/api/generate", "/api/embed", "/v1/chat/completions", "/v1/responses", "/v1/messages"]
)
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_ends_at_the_limit(path: str, announced: bool) -> None:
    async with client(max_body=5000) as http:
        for body, status in ((BODY + MANY[len(BODY) :], 200), (BODY + MANY, 413)):
            answer = await http.post(path, content=body if announced else pieces(body))
            assert answer.status_code == status
        assert "request body too large" in answer.text


@pytest.mark.parametrize("path", ["/api/show", "/api/copy", "/api/pull", "/api/push", "/api/updates", "/api/pulls"])
async def test_what_only_names_things_is_small(path: str) -> None:
    async with client() as http:
        answer = await http.post(path, content=pieces(b'{"model":"' + b"x" * SMALL + b'"}'))
    assert (answer.status_code, answer.json()["hint"]) == (413, "Here it may hold 1 MiB.")


@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_has_a_limit_of_its_own(announced: bool) -> None:
    data = MANY * 2
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
    async with client(max_upload=len(data) - 1) as http:
        assert (await http.post(path, content=data if announced else pieces(data))).status_code == 413
        assert (await http.head(path)).status_code == 404
    async with client(max_body=10) as http:
        assert (await http.post(path, content=data if announced else pieces(data))).status_code == 201


async def test_no_limit_is_none() -> None:
    async with client(max_body=0) as http:
        assert (await http.post("/api/chat", content=pieces(BODY + MANY))).status_code == 200


async def test_a_compressed_body_has_the_limit_of_what_it_may_hold() -> None:
    async with client() as http:
        for size, status in ((21 << 20, 413), (1000, 200)):
            body = zstandard.ZstdCompressor(level=1).compress(BODY)
            padded = body + zstandard.ZstdCompressor().compress(b"") * ((size - len(body)) // 9)
            answer = await http.post("/api/chat", content=pieces(padded), headers={"Content-Encoding": "zstd"})
            assert answer.status_code == status


@pytest.mark.parametrize("length", ["9" * 30, "9" * 5000, "\u00b2", "-1", "x"])
async def test_a_length_that_is_none_is_not_believed(length: str) -> None:
    async with client() as http:
        headers = [(b"content-length", length.encode("latin-1"))]
        answer = await http.post("/api/show", content=pieces(b'{"model":"bard"}'), headers=headers)
    assert answer.status_code == (413 if length.startswith("9") else 200)
