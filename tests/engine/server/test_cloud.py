"""Accounts and ollama.com: answered as by a server of Ollama's whose cloud is disabled."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ollama_engine.server.references import local_name
from tests.support.scripted_engine import ScriptedEngine

MESSAGES = [{"role": "user", "content": "x"}]
INFERENCE = "ollama cloud is disabled: remote model is unavailable"
DETAILS = "ollama cloud is disabled: remote model details are unavailable"


async def test_the_cloud_is_off(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/status")
    assert answer.json() == {"cloud": {"disabled": True, "source": "config"}}


async def test_nobody_is_signed_in(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/me")
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    for method, path in (("POST", "/api/signout"), ("DELETE", "/api/user/keys/c3NoLWVkMjU1MTk=")):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["error"]) == (401, "you are not currently signed in")


@pytest.mark.parametrize("what", ["web_search", "web_fetch"])
async def test_the_web_is_not_searched(http: httpx.AsyncClient, what: str) -> None:
    answer = await http.post(f"/api/experimental/{what}", json={"query": "x", "url": "y"})
    assert answer.status_code == 403
    assert answer.json() == {"error": f"ollama cloud is disabled: {what.replace('_', ' ')} is unavailable"}
    answer = await http.post(f"/api/experimental/{what}", content=b" ")
    assert (answer.status_code, answer.json()) == (400, {"error": "missing request body"})


async def test_the_models_that_are_recommended_run_here(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/api/experimental/model-recommendations")).json()["recommendations"]
    assert all(entry["model"] and entry["description"] and entry["context_length"] > 0 for entry in answer)
    needs = [entry["vram_bytes"] for entry in answer]
    assert needs == sorted(needs, reverse=True)
    assert not any("cloud" in entry["model"] for entry in answer)


@pytest.mark.parametrize("name", ["gpt-oss:cloud", "gpt-oss:120b-cloud", "ann/x:CLOUD"])
@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("/api/generate", {"prompt": "x"}, INFERENCE),
        ("/api/chat", {"messages": MESSAGES}, INFERENCE),
        ("/api/embed", {"input": "x"}, INFERENCE),
        ("/api/embeddings", {"prompt": "x"}, INFERENCE),
        ("/api/show", {}, DETAILS),
        ("/v1/chat/completions", {"messages": MESSAGES}, INFERENCE),
        ("/v1/completions", {"prompt": "x"}, INFERENCE),
        ("/v1/embeddings", {"input": "x"}, INFERENCE),
        ("/v1/responses", {"input": "x"}, INFERENCE),
        ("/v1/messages", {"messages": MESSAGES, "max_tokens": 9}, INFERENCE),
    ],
)
async def test_models_of_the_cloud_are_refused(
    http: httpx.AsyncClient, engine: ScriptedEngine, path: str, fields: dict[str, Any], name: str, words: str
) -> None:
    answer = await http.post(path, json={"model": name, **fields})
    assert answer.status_code == 403
    error = answer.json()["error"]
    assert (error if isinstance(error, str) else error["message"]) == words
    assert engine.asked == []


async def test_a_model_of_the_cloud_has_no_details_in_openais_list(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/models/gpt-oss:cloud")
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, DETAILS)


async def test_a_model_that_would_run_elsewhere_is_not_made(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    for fields in ({"from": "gpt-oss", "remote_host": "https://ollama.com"}, {"from": "gpt-oss:cloud"}):
        answer = await http.post("/api/create", json={"model": "m", **fields})
        assert (answer.status_code, answer.json()["error"]) == (403, INFERENCE)
    assert engine.asked == []


async def test_local_at_the_end_of_a_name_means_here(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    for name in ("bard:local", "bard:latest:LOCAL"):
        answer = await http.post("/api/chat", json={"model": name, "messages": MESSAGES, "stream": False})
        assert answer.json()["message"]["content"] == "Hello world"
    answer = await http.post("/api/chat", json={"model": "bard:local:cloud", "messages": MESSAGES})
    assert answer.status_code == 400
    assert answer.json()["error"] == 'use either :local or :cloud, not both: "bard:local:cloud"'


@pytest.mark.parametrize("name", ["cloud", "x", "x:latest", "cloud/x:7b", "host:5000/cloud/x", "x:my-clouds", ""])
def test_other_names_are_left_as_they_are(name: str) -> None:
    assert local_name(name) == name
