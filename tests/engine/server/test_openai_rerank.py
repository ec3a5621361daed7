"""`/v1/rerank` against a scripted engine."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ollama_engine.types import RerankRequest
from tests.support.scripted_engine import ScriptedEngine


async def ask(http: httpx.AsyncClient, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    return await http.post(path, json={"model": "bard", "query": "q", "documents": ["ab", "abc"], **fields})


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/reranking"])
async def test_the_best_comes_first(http: httpx.AsyncClient, path: str) -> None:
    answer = (await ask(http, path)).json()
    assert answer["results"] == [{"index": 1, "relevance_score": 3.0}, {"index": 0, "relevance_score": 2.0}]
    assert (answer["object"], answer["model"]) == ("list", "bard")
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


async def test_documents_in_their_other_shape_come_back(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = (await ask(http, documents=[{"text": "ab"}, "abc"], return_documents=True, top_n=2)).json()
    assert [result["document"] for result in answer["results"]] == [{"text": "abc"}, {"text": "ab"}]
    assert engine.asked == [RerankRequest("bard", "q", ["ab", "abc"], top_n=2)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": ""}, "model is required"),
        ({"query": ""}, "query is required"),
        ({"documents": []}, "documents is required"),
        ({"documents": [3]}, "a document is neither text nor an object with a text"),
        ({"top_n": 0}, "top_n must be at least 1"),
    ],
)
async def test_what_is_wrong(http: httpx.AsyncClient, fields: dict[str, Any], message: str) -> None:
    answer = await ask(http, **fields)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
