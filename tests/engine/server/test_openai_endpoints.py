"""OpenAI's text completions, embeddings and models against a scripted engine."""

from __future__ import annotations

import base64
import struct
from typing import Any

import httpx
import pytest

from ollama_engine.errors import RunnerDied
from ollama_engine.types import EmbedRequest, GenerateChunk, GenerateRequest, Logprob, TokenLogprob
from tests.engine.server.sse import chunks
from tests.support.scripted_engine import CREATED_AT, ScriptedEngine


async def complete(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post("/v1/completions", json={"model": "bard", "prompt": "x", **fields})


def asked(engine: ScriptedEngine) -> list[GenerateRequest]:
    return [request for request in engine.asked if isinstance(request, GenerateRequest)]


async def test_a_completion(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    whole = (await complete(http, suffix="z", max_tokens=4, stop=["a"], top_p=0, raw=True)).json()
    assert whole["id"].startswith("cmpl-")
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"text": "Hello world", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert whole["usage"]["total_tokens"] == 5
    [request] = asked(engine)
    assert (request.prompt, request.suffix, request.raw) == ("x", "z", True)
    assert request.options == {"num_predict": 4, "stop": ["a"]}


async def test_a_streamed_completion(http: httpx.AsyncClient) -> None:
    answer = await complete(http, stream=True, stream_options={"include_usage": True})
    *parts, last = chunks(answer.text)
    assert [part["choices"][0]["text"] for part in parts] == ["Hello", " world", ""]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, None, "stop"]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)


async def test_several_prompts_several_times(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    whole = (await complete(http, prompt=["a", "b"], n=2, seed=1, echo=True)).json()
    assert [choice["text"] for choice in whole["choices"]] == ["aHello world"] * 2 + ["bHello world"] * 2
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2, 3]
    seeds = [(request.prompt, (request.options or {})["seed"]) for request in asked(engine)]
    assert seeds == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


async def test_log_probabilities_in_the_old_shape(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    def piece(text: str) -> GenerateChunk:
        other = TokenLogprob(token="?", logprob=-3.0)
        entry = Logprob(token=text, logprob=-0.5, top_logprobs=[other])
        return GenerateChunk(model="bard", created_at=CREATED_AT, response=text, done=False, logprobs=[entry])

    engine.pieces = [piece("Hel"), piece("lo")]
    legacy = (await complete(http, logprobs=1)).json()["choices"][0]["logprobs"]
    assert legacy == {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"?": -3.0}, {"?": -3.0}],
        "text_offset": [0, 3],
    }
    assert (asked(engine)[0].logprobs, asked(engine)[0].top_logprobs) == (True, 1)
    parts = chunks((await complete(http, logprobs=0, stream=True, echo=True)).text)
    assert [part["choices"][0]["logprobs"]["text_offset"] for part in parts[:2]] == [[1], [4]]
    assert parts[0]["choices"][0]["text"] == "xHel"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stop": ["a", 3]}, "invalid type for 'stop' field: float64"),
        ({"prompt": [1, 2]}, "invalid prompt"),
        ({"prompt": []}, "invalid prompt"),
        ({"prompt": ""}, "prompt is required"),
        ({"model": ""}, "model is required"),
    ],
)
async def test_broken_completions(http: httpx.AsyncClient, fields: dict[str, Any], message: str) -> None:
    answer = await complete(http, **fields)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


async def test_a_completion_that_breaks_off_says_so(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = ["one", RunnerDied("it died")]
    assert chunks((await complete(http, stream=True)).text)[-1]["error"]["message"] == "it died"


async def test_embeddings(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    body = {"model": "bard", "input": ["abc", ""], "dimensions": 2, "keep_alive": 9}
    answer = (await http.post("/v1/embeddings", json=body)).json()
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": [3.0, 0.0], "index": 0},
            {"object": "embedding", "embedding": [0.0, 1.0], "index": 1},
        ],
        "model": "bard",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    assert engine.asked == [EmbedRequest("bard", ["abc", ""], dimensions=2, keep_alive=9)]
    answer = await http.post("/v1/embeddings", json={"model": "bard", "input": "", "encoding_format": "BASE64"})
    [entry] = answer.json()["data"]
    assert struct.unpack("<2f", base64.b64decode(entry["embedding"])) == (0.0, 0.0)


@pytest.mark.parametrize("value", [None, [], [1, 2], [[1]], 3, {}])
async def test_no_text_no_embedding(http: httpx.AsyncClient, value: object) -> None:
    answer = await http.post("/v1/embeddings", json={"model": "bard", "input": value})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "invalid input")


async def test_an_unknown_encoding(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/embeddings", json={"model": "bard", "input": "x", "encoding_format": "hex"})
    assert answer.status_code == 400
    expected = "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64']."
    assert answer.json()["error"]["message"] == expected


async def test_models(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.names = ["bard:latest", "ann/story:v1", "hf.co/bob/tale:Q4_K_M"]
    listed = (await http.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [(model["id"], model["owned_by"]) for model in listed["data"]] == [
        ("bard:latest", "library"),
        ("ann/story:v1", "ann"),
        ("hf.co/bob/tale:Q4_K_M", "bob"),
    ]
    assert listed["data"][0] == {
        "id": "bard:latest",
        "object": "model",
        "created": 1767319445,
        "owned_by": "library",
    }
    one = (await http.get("/v1/models/hf.co/bob/tale:Q4_K_M")).json()
    assert (one["id"], one["created"]) == ("hf.co/bob/tale:Q4_K_M", 1767319445)
    broken = await http.get("/v1/models/one%0Atwo")
    assert (broken.status_code, broken.headers["content-type"].split(";")[0]) == (404, "application/json")
    missing = await http.get("/v1/models/nope")
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
    engine.names = []
    assert (await http.get("/v1/models")).json()["data"] == []
