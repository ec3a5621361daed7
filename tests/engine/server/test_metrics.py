"""`/metrics`: what is counted, and by which labels."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ollama_engine.errors import Busy
from ollama_engine.server.metrics.meters import MAX_MODELS, OTHER, Meters
from ollama_engine.types import RunningModel
from tests.support.live_server import live_server
from tests.support.scripted_engine import DETAILS, ScriptedEngine

CHAT = {"model": "bard", "messages": [{"role": "user", "content": "x"}]}


async def read(http: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Every sample: its name and its labels' values in the order of their names, and its value. Zeros are left out."""
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name.removeprefix("ollama_tui_"), *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.value and not sample.name.endswith(("_created", "_bucket"))
    }


async def test_requests_are_counted_by_endpoint_status_and_model(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.last = {"cached_tokens": 1, "eval_duration": 500_000_000}
    await http.post("/api/chat", json=CHAT)
    await http.post("/api/generate", json={"model": "BARD:latest", "prompt": "x", "stream": False})
    await http.post("/v1/chat/completions", json=CHAT)
    await http.post("/v1/messages", json={**CHAT, "max_tokens": 9, "stream": True})
    await http.post("/api/chat", json={**CHAT, "model": "nope"})
    await http.get("/api/tags")
    await http.get("/v1/models/bard")
    counts = await read(http)
    for endpoint in ("/api/chat", "/v1/chat/completions", "/v1/messages"):
        assert counts["http_requests_total", endpoint, "POST", "bard:latest", "200"] == 1
    assert counts["http_requests_total", "/api/chat", "POST", "", "404"] == 1
    assert counts["http_requests_total", "/api/tags", "GET", "", "200"] == 1
    assert counts["http_requests_total", "/v1/models/{model:name}", "GET", "", "200"] == 1
    assert counts["http_request_duration_seconds_count", "/api/chat"] == 2
    assert counts["time_to_first_token_seconds_count", "bard:latest"] == 3
    assert counts["prompt_tokens_total", "bard:latest"] == 3 * 3
    assert counts["cached_prompt_tokens_total", "bard:latest"] == 3
    assert counts["generated_tokens_total", "bard:latest"] == 3 * 2
    assert counts["generation_seconds_total", "bard:latest"] == pytest.approx(1.5)
    assert counts["http_requests_in_progress",] == 1  # this one


async def test_embeddings_count_as_prompts(http: httpx.AsyncClient) -> None:
    await http.post("/api/embed", json={"model": "bard", "input": ["a", "b"]})
    await http.post("/v1/embeddings", json={"model": "bard", "input": ["a", "b", "c"]})
    counts = await read(http)
    assert counts["prompt_tokens_total", "bard:latest"] == 5
    assert counts["http_requests_total", "/v1/embeddings", "POST", "bard:latest", "200"] == 1


async def test_loading_counts_no_token(http: httpx.AsyncClient) -> None:
    await http.post("/api/generate", json={"model": "bard"})
    counts = await read(http)
    assert not [name for name, *_ in counts if "token" in name and name.endswith(("_total", "_count"))]


async def test_labels_are_bounded_whatever_is_asked(http: httpx.AsyncClient) -> None:
    before = await read(http)
    for number in range(20):
        await http.get(f"/nowhere/{number}")
        await http.post("/api/chat", json={**CHAT, "model": f"m{number}"})
        await http.post("/api/show", json={"model": f"m{number}"})
        await http.request(f"VERB{number}", "/api/chat")
    after = await read(http)
    assert after["http_requests_total", "unknown", "", "", "404"] == 20
    assert after["http_requests_total", "/api/chat", "unknown", "", "405"] == 20
    new = {key for key in after if key[0] == "http_requests_total"} - set(before)
    assert len(new) == 5


def test_models_beyond_a_limit_share_a_label() -> None:
    meters = Meters()
    labels = {meters.model(f"m{number}") for number in range(3 * MAX_MODELS)}
    assert len(labels) == MAX_MODELS + 1
    assert OTHER in labels
    assert meters.model("M0:LATEST") == meters.model("m0") == "m0:latest"
    assert meters.model("hf.co:443/ann/tale") == OTHER


async def test_refusals_are_counted(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [Busy("server busy", retry_after=1)]
    await http.post("/api/chat", json=CHAT)
    assert (await read(http))["http_requests_total", "/api/chat", "POST", "", "503"] == 1


def running(name: str, **fields: Any) -> RunningModel:
    return RunningModel(name, name, 60, "cd" * 32, DETAILS, "2318-01-01T00:00:00Z", 7, 512, **fields)


async def test_models_in_memory_are_told_as_they_are_now(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    assert not [key for key in await read(http) if key[0].startswith("model")]
    engine.loaded = [
        running("a:latest", weights=40, kv_cache=15, compute=5, rss=99, slots=4, slots_busy=2, queued=3),
        running("b:latest", state="loading"),
        running("a:latest", weights=40, kv_cache=0, compute=1, rss=1, slots=1, slots_busy=1),  # it embeds, too
    ]
    counts = await read(http)
    assert counts["models_loaded",] == 3
    assert counts["model_memory_bytes", "weights", "a:latest"] == 80
    assert counts["model_memory_bytes", "kv_cache", "a:latest"] == 15
    assert counts["model_resident_memory_bytes", "a:latest"] == 100
    assert counts["model_device_memory_bytes", "b:latest"] == 7
    assert (counts["model_slots", "a:latest"], counts["model_slots_busy", "a:latest"]) == (5, 3)
    assert counts["model_requests_queued", "a:latest"] == 3


async def test_openmetrics_is_spoken_where_it_is_asked_for(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_the_process_tells_of_itself(http: httpx.AsyncClient) -> None:
    counts = await read(http)
    assert counts["process_resident_memory_bytes",] > 1e7
    assert counts["process_open_fds",] > 0


async def test_a_client_that_hangs_up_before_an_answer_counts_as_499(engine: ScriptedEngine) -> None:
    engine.step = asyncio.Event()
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
        _, writer = await asyncio.open_connection(address.host, address.port)
        body = b'{"model":"bard","prompt":"x","stream":false}'
        head = b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        await asyncio.wait_for(engine.waiting.wait(), 5)
        writer.close()
        await asyncio.wait_for(engine.closed_early.wait(), 5)
        async with asyncio.timeout(5):
            while (counts := await read(http)).get(("http_requests_in_progress",)) != 1:
                pass
    assert counts["http_requests_total", "/api/generate", "POST", "bard:latest", "499"] == 1
