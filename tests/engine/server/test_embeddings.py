"""What the endpoints of vectors and rankings answer, byte for byte where the spec fixes it (§1.5, §1.6)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from ollama_engine.errors import EngineError, InvalidRequest, PromptTooLong
from ollama_engine.types import EmbedRequest, RerankRequest
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine

JSON = "application/json; charset=utf-8"


async def test_embed_answers_in_ollamas_field_order(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    body = {"model": "bard", "input": ["ab", ""], "truncate": False, "dimensions": 7, "options": {"num_ctx": 9}}
    answer = await http.post("/api/embed", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert answer.content == (
        b'{"model":"bard","embeddings":[[2.0,0.0],[0.0,1.0]],"total_duration":9,"prompt_eval_count":2}'
    )
    assert engine.asked == [EmbedRequest("bard", ["ab", ""], False, 7, options={"num_ctx": 9})]


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": ""}, {"input": []}])
async def test_no_input_is_an_empty_list_of_vectors(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await http.post("/api/embed", json={"model": "bard", **body})
    assert answer.content == b'{"model":"bard","embeddings":[],"total_duration":9}'


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("invalid input type"), 400),
        (PromptTooLong("the input length exceeds the context length"), 400),
        (EngineError("it broke"), 500),
    ],
)
async def test_errors_of_embed_keep_their_status_and_words(
    http: httpx.AsyncClient, engine: ScriptedEngine, error: EngineError, status: int
) -> None:
    engine.pieces = [error]
    answer = await http.post("/api/embed", json={"model": "bard", "input": "x"})
    assert (answer.status_code, answer.json()["error"]) == (status, error.message)


async def test_a_field_of_another_type_is_refused_as_go_does(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/embed", json={"model": "bard", "input": "x", "dimensions": "few"})
    assert answer.status_code == 400
    assert answer.json()["error"] == (
        "json: cannot unmarshal string into Go struct field EmbedRequest.dimensions of type int"
    )


async def test_the_older_endpoint_answers_one_vector_as_the_model_has_it(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    answer = await http.post("/api/embeddings", json={"model": "bard", "prompt": "abc", "keep_alive": "1m"})
    assert (answer.status_code, answer.content) == (200, b'{"embedding":[3.0,0.0]}')
    assert engine.asked == [EmbedRequest("bard", "abc", keep_alive="1m", normalize="model")]
    assert (await http.post("/api/embeddings", json={"model": "bard"})).content == b'{"embedding":[]}'


async def test_the_older_endpoint_knows_500_404_and_a_missing_model(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.pieces = [InvalidRequest("embedding contains NaN or Inf values")]
    answer = await http.post("/api/embeddings", json={"model": "bard", "prompt": "x"})
    assert (answer.status_code, answer.json()["error"]) == (500, "embedding contains NaN or Inf values")
    assert (await http.post("/api/embeddings", json={"model": "nope", "prompt": "x"})).status_code == 404
    answer = await http.post("/api/embeddings", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "model is required")


async def test_rerank_answers_indices_and_scores(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    body = {"model": "bard", "query": "q", "documents": ["a", "abc", "ab"], "top_n": 3}
    answer = await http.post("/api/rerank", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert answer.content == (
        b'{"model":"bard","results":[{"index":1,"relevance_score":3.0},{"index":2,"relevance_score":2.0},'
        b'{"index":0,"relevance_score":1.0}],"total_duration":9}'
    )
    assert engine.asked == [RerankRequest("bard", "q", ["a", "abc", "ab"], 3)]


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings", "/api/rerank"])
async def test_a_client_that_hangs_up_ends_the_work(path: str) -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    body = {"model": "bard", "input": "x", "prompt": "x", "query": "x", "documents": ["x"]}
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as client:
        request = asyncio.create_task(client.post(path, json=body))
        async with asyncio.timeout(10):
            await engine.waiting.wait()
            request.cancel()
            await engine.closed_early.wait()


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings", "/api/rerank"])
async def test_these_endpoints_are_for_post_alone(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code in (404, 405)
    assert (await http.post(path, content=b"")).status_code == 400
