"""Bodies compressed with zstd: read within bounds, refused beyond them."""

from __future__ import annotations

import json

import httpx
import pytest
import zstandard

from ollama_engine.errors import InvalidRequest
from ollama_engine.server import compressed
from ollama_engine.server.compressed import unpack
from tests.support.scripted_engine import ScriptedEngine

BODY = json.dumps({"model": "bard", "input": "x"}).encode()


async def ask(http: httpx.AsyncClient, body: bytes, encoding: str) -> httpx.Response:
    return await http.post("/v1/responses", content=body, headers={"Content-Encoding": encoding})


async def test_a_compressed_body_is_read(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(http, zstandard.ZstdCompressor().compress(BODY), "zstd")
    assert (answer.status_code, len(engine.asked)) == (200, 1)
    assert (await ask(http, BODY, "identity")).status_code == 200


async def test_what_is_no_zstd_is_refused(http: httpx.AsyncClient) -> None:
    assert (await ask(http, BODY, "zstd")).status_code == 400
    half = zstandard.ZstdCompressor().compress(BODY * 100)[:20]
    assert (await ask(http, half, "zstd")).status_code == 400
    answer = await ask(http, BODY, "br")
    assert (answer.status_code, answer.json()["error"]["message"]) == (415, "content encoding 'br' is not supported")


async def test_a_bomb_is_refused(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "MAX_UNPACKED", 1000)
    assert (await ask(http, zstandard.ZstdCompressor().compress(b"x" * 1001), "zstd")).status_code == 413
    assert len(unpack(zstandard.ZstdCompressor().compress(b"x" * 1000), "zstd")) == 1000


def test_a_window_that_is_too_wide_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    wide = zstandard.ZstdCompressor(compression_params=parameters)
    packer = wide.compressobj()
    body = packer.compress(bytes(1000)) + packer.flush()
    with pytest.raises(InvalidRequest, match="no zstd"):
        unpack(body, "zstd")
