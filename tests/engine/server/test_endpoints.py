"""What each endpoint answers: statuses, headers and bodies, byte for byte where the spec fixes them."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest

from ollama_engine.errors import Busy, EngineError, InvalidName, LoadFailed, NotFound
from ollama_engine.types import CreateRequest, GenerateRequest, ModelInfo, PullRequest, PushRequest, RunningModel
from tests.support.scripted_engine import CREATED_AT, DETAILS, ScriptedEngine

JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_root_says_that_ollama_is_running(http: httpx.AsyncClient, method: str) -> None:
    answer = await http.request(method, "/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == ("Ollama is running" if method == "GET" else "")


async def test_version_is_the_engines(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/version")
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert answer.content == b'{"version":"1.2.3"}'
    assert (await http.head("/api/version")).status_code == 200


async def test_tags_list_models_in_ollamas_field_order(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/tags")
    assert answer.content == (
        b'{"models":[{"name":"bard:latest","model":"bard:latest",'
        b'"modified_at":"2026-01-02T03:04:05.000000006+01:00","size":12,"digest":"' + b"ab" * 32 + b'",'
        b'"details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],'
        b'"parameter_size":"4M","quantization_level":"Q8_0"},"capabilities":["completion"]}]}'
    )
    assert (await http.head("/api/tags")).status_code == 200


async def test_tags_of_an_empty_store_are_an_empty_list(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.names.clear()
    assert (await http.get("/api/tags")).content == b'{"models":[]}'


async def test_ps_hides_models_that_load_for_the_first_time(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    for name, state in (("a:latest", "idle"), ("b:latest", "loading")):
        engine.loaded.append(
            RunningModel(name, name, 7, "cd" * 32, DETAILS, "2318-01-01T00:00:00Z", 7, 512, state=state)
        )
    shown = (await http.get("/api/ps")).json()["models"]
    assert [model["name"] for model in shown] == ["a:latest"]
    every = (await http.get("/api/ps", params={"loading": "true"})).json()["models"]
    assert [(model["name"], model["state"]) for model in every] == [("a:latest", "idle"), ("b:latest", "loading")]


async def test_show_takes_the_old_field_name_and_escapes_html(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/show", content=b'{"name":"bard","Verbose":true}')
    assert answer.status_code == 200
    assert b'"modelfile":"FROM \\u003cx\\u003e \\u0026 y"' in answer.content
    assert answer.json()["model_info"]["verbose"] is True


async def test_show_lays_a_sessions_system_and_options_over_the_modelfile(
    http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    modelfile = 'FROM x\nSYSTEM """You are\na poet."""\nPARAMETER stop "A"\nPARAMETER stop B\nPARAMETER top_k 3\n'

    async def show(name: str, *, verbose: bool = False) -> ModelInfo:
        return ModelInfo(modelfile=modelfile, system="You are\na poet.")

    monkeypatch.setattr(engine, "show", show)
    plain = (await http.post("/api/show", json={"model": "bard"})).json()
    assert plain["modelfile"] == modelfile
    options = {"stop": ["C", "D "], "temperature": 0.5}
    shown = (await http.post("/api/show", json={"model": "bard", "system": "Be brief.", "options": options})).json()
    assert shown["system"] == "Be brief."
    assert shown["modelfile"] == (
        "FROM x\nPARAMETER top_k 3\nSYSTEM Be brief.\n"
        'PARAMETER stop C\nPARAMETER stop "D "\nPARAMETER temperature 0.5\n'
    )


async def test_copilot_is_told_the_name_it_asked_for(http: httpx.AsyncClient) -> None:
    agent = {"User-Agent": "GitHubCopilotChat/0.30"}
    info = (await http.post("/api/show", json={"model": "bard"}, headers=agent)).json()["model_info"]
    assert info["general.basename"] == "bard"
    assert "general.basename" not in (await http.post("/api/show", json={"model": "bard"})).json()["model_info"]


@pytest.mark.parametrize("path", ["/api/show", "/api/chat"])
async def test_a_request_without_a_model_says_so(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path, content=b"{}")
    assert (answer.status_code, answer.json()["error"]) == (400, "model is required")


async def test_generate_without_a_model_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/generate", content=b'{"prompt":"x"}')
    assert (answer.status_code, answer.json()) == (404, {"error": "model '' not found"})


@pytest.mark.parametrize("path", ["/api/show", "/api/generate", "/api/chat"])
async def test_an_unknown_model_is_not_found_in_single_quotes(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path, json={"model": "nope", "prompt": "x", "messages": [{"role": "user"}]})
    assert (answer.status_code, answer.headers["content-type"]) == (404, JSON)
    assert answer.content == b"""{"error":"model 'nope' not found"}"""


async def test_generate_streams_a_line_a_chunk_with_the_metrics_last(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "hi"})
    start = f'{{"model":"bard","created_at":"{CREATED_AT}","response":'
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.text == (
        f'{start}"Hello","done":false}}\n'
        f'{start}" world","done":false}}\n'
        f'{start}"","done":true,"done_reason":"stop","context":[1,2,3],"total_duration":9,"load_duration":1,'
        '"prompt_eval_count":3,"prompt_eval_duration":2,"eval_count":2,"eval_duration":5}\n'
    )


async def test_generate_unstreamed_is_one_object_of_all_text(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "hi", "stream": False})
    assert answer.headers["content-type"] == JSON
    assert not answer.text.endswith("\n")
    body = answer.json()
    assert (body["response"], body["done"], body["done_reason"], body["eval_count"]) == ("Hello world", True, "stop", 2)


async def test_chat_streams_messages_whose_content_is_always_there(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/chat", json={"model": "bard", "messages": [{"role": "user", "content": "hi"}]})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["message"] for line in lines] == [
        {"role": "assistant", "content": text} for text in ("Hello", " world", "")
    ]
    assert [line["done"] for line in lines] == [False, False, True]
    assert list(lines[-1])[:5] == ["model", "created_at", "message", "done", "done_reason"]


async def test_chat_unstreamed_is_one_message(http: httpx.AsyncClient) -> None:
    request = {"model": "bard", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    body = (await http.post("/api/chat", json=request)).json()
    assert body["message"] == {"role": "assistant", "content": "Hello world"}
    assert (body["done_reason"], body["total_duration"]) == ("stop", 9)


@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), (0, "unload")])
async def test_loading_and_unloading_answer_one_object_even_in_a_stream(
    http: httpx.AsyncClient, keep_alive: int | None, reason: str
) -> None:
    request = {"model": "bard", "keep_alive": keep_alive, "stream": True}
    generate = await http.post("/api/generate", json=request)
    chat = await http.post("/api/chat", json=request)
    assert generate.headers["content-type"] == chat.headers["content-type"] == JSON
    end = f'"done":true,"done_reason":"{reason}"}}'
    assert generate.text == f'{{"model":"bard","created_at":"{CREATED_AT}","response":"",{end}'
    message = '"message":{"role":"assistant","content":""}'
    assert chat.text == f'{{"model":"bard","created_at":"{CREATED_AT}",{message},{end}'


@pytest.mark.parametrize("count", [-1, 21])
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_top_logprobs_have_bounds(http: httpx.AsyncClient, path: str, count: int) -> None:
    answer = await http.post(path, json={"model": "bard", "top_logprobs": count})
    assert (answer.status_code, answer.json()["error"]) == (400, "top_logprobs must be between 0 and 20")


async def test_create_streams_progress_or_answers_the_last_step(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.pieces = ["parsing GGUF", "writing manifest"]
    streamed = await http.post("/api/create", json={"name": "m", "from": "bard", "quantization": "q8_0"})
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert streamed.text == '{"status":"parsing GGUF"}\n{"status":"writing manifest"}\n{"status":"success"}\n'
    assert engine.asked[-1] == CreateRequest("m", from_="bard", quantize="q8_0")
    whole = await http.post("/api/create", json={"model": "m", "from": "bard", "stream": False})
    assert whole.content == b'{"status":"success"}'


async def test_create_without_a_name_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/create", json={"from": "bard"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid model name")


async def test_copy_and_delete_answer_nothing(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    copied = await http.post("/api/copy", json={"source": "bard:latest", "destination": "b2:latest"})
    assert (copied.status_code, copied.content) == (200, b"")
    deleted = await http.request("DELETE", "/api/delete", content=b'{"name":"b2"}')
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert engine.names == ["bard:latest"]


async def test_copy_names_a_missing_model_in_double_quotes(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/copy", json={"source": "x", "destination": "y"})
    assert (answer.status_code, answer.json()) == (404, {"error": 'model "x" not found'})
    empty = await http.post("/api/copy", json={"source": "x"})
    assert (empty.status_code, empty.json()["error"]) == (400, 'destination "" is invalid')


async def test_delete_of_a_missing_model_is_not_found(http: httpx.AsyncClient) -> None:
    answer = await http.request("DELETE", "/api/delete", json={"model": "x"})
    assert (answer.status_code, answer.json()) == (404, {"error": "model 'x' not found"})


async def test_a_blob_is_created_once_and_then_known(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    body = b"x" * 300_000
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert (await http.head(f"/api/blobs/{digest}")).status_code == 404
    assert (await http.post(f"/api/blobs/{digest}", content=body)).status_code == 201
    assert (await http.post(f"/api/blobs/{digest}", content=b"whatever")).status_code == 200
    assert (await http.head(f"/api/blobs/{digest}")).status_code == 200
    assert engine.blobs == {digest: body}


async def test_a_blob_must_be_what_its_digest_says(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await http.post(f"/api/blobs/sha256:{'0' * 64}", content=b"x")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("digest mismatch, expected")
    assert (await http.head("/api/blobs/sha256:12")).status_code == 400
    assert engine.blobs == {}


@pytest.mark.parametrize(("path", "kind"), [("/api/pull", PullRequest), ("/api/push", PushRequest)])
async def test_a_transfer_is_told_step_by_step(
    http: httpx.AsyncClient, engine: ScriptedEngine, path: str, kind: type[PullRequest | PushRequest]
) -> None:
    answer = await http.post(path, json={"name": "x", "insecure": True, "username": "u", "password": "p"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.text == '{"status":"Hello"}\n{"status":" world"}\n{"status":"success"}\n'
    assert engine.asked == [kind("x", insecure=True)]


@pytest.mark.parametrize("path", ["/api/pull", "/api/push"])
async def test_a_transfer_that_is_not_streamed_is_its_last_step(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.post(path, json={"model": "x", "stream": False})
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})


@pytest.mark.parametrize(("path", "words"), [("/api/pull", "invalid model name"), ("/api/push", "model is required")])
async def test_a_transfer_needs_a_name(http: httpx.AsyncClient, path: str, words: str) -> None:
    answer = await http.post(path, json={})
    assert (answer.status_code, answer.json()["error"]) == (400, words)


@pytest.mark.parametrize("path", ["/api/pull", "/api/push"])
async def test_what_ends_a_transfer_is_its_last_line_or_its_status(
    http: httpx.AsyncClient, engine: ScriptedEngine, path: str
) -> None:
    engine.pieces = ["pulling manifest", NotFound("pull model manifest: file does not exist")]
    error = {"error": "pull model manifest: file does not exist"}
    streamed = await http.post(path, json={"model": "x"})
    assert streamed.status_code == 200
    assert json.loads(streamed.text.splitlines()[-1]) == error
    whole = await http.post(path, json={"model": "x", "stream": False})
    assert (whole.status_code, whole.json()) == (404, error)


async def test_an_unknown_path_is_404_in_plain_text(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/nope")
    assert (answer.status_code, answer.text) == (404, "404 page not found")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/chat"),
        ("POST", "/api/tags"),
        ("HEAD", "/api/ps"),
        ("POST", "/api/delete"),
        ("GET", "/api/blobs/x"),
    ],
)
async def test_a_wrong_verb_is_405(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 405
    assert answer.text == ("" if method == "HEAD" else "405 method not allowed")


@pytest.mark.parametrize(("method", "status"), [("GET", 301), ("HEAD", 307)])
async def test_a_trailing_slash_is_redirected(http: httpx.AsyncClient, method: str, status: int) -> None:
    answer = await http.request(method, "/api/tags/?a=1")
    assert (answer.status_code, answer.headers["location"]) == (status, "/api/tags?a=1")
    assert (await http.get("/api/nope/")).status_code == 404


async def test_an_error_carries_its_status_and_its_hint(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [LoadFailed("no room", hint="Close something.")]
    for stream in (True, False):
        answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x", "stream": stream})
        assert (answer.status_code, answer.headers["content-type"]) == (500, JSON)
        assert answer.content == b'{"error":"no room","hint":"Close something."}'


async def test_a_busy_server_says_when_to_come_back(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [Busy("server busy, please try again.  maximum pending requests exceeded", retry_after=2.5)]
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


async def test_a_later_error_is_the_last_line(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = ["Hello", InvalidName("gone <wrong>")]
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x"})
    assert answer.status_code == 200
    assert answer.text.splitlines()[1:] == ['{"error":"gone \\u003cwrong\\u003e"}']
    assert answer.text.endswith("\n")


async def test_a_later_error_without_a_stream_keeps_its_status(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = ["Hello", InvalidName("wrong")]
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x", "stream": False})
    assert (answer.status_code, answer.json()) == (400, {"error": "wrong"})


@pytest.mark.parametrize("pieces", [[ValueError("/secret/path")], ["Hello", ValueError("/secret/path")]])
async def test_an_unexpected_error_tells_the_log_and_not_the_client(
    http: httpx.AsyncClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture, pieces: list[str | Exception]
) -> None:
    engine.pieces = pieces
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x"})
    assert answer.status_code == (200 if len(pieces) > 1 else 500)
    assert json.loads(answer.text.splitlines()[-1])["error"] == "internal server error"
    assert "secret" not in answer.text
    assert "/secret/path" in caplog.text


async def test_an_unexpected_error_outside_a_stream_does_the_same(
    http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> str:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(engine, "version", broken)
    answer = await http.get("/api/version", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_the_engine_gets_the_request_as_it_was_meant(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    await http.post(
        "/api/generate",
        content=b'{"MODEL":"bard","Prompt":"x","options":{"num_Predict":3,"stop":["A"]},"keep_alive":"5m","unknown":1}',
    )
    assert engine.asked == [GenerateRequest("bard", "x", options={"num_Predict": 3, "stop": ["A"]}, keep_alive="5m")]


async def test_a_stream_that_never_ends_properly_is_an_error(
    http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(request: GenerateRequest):
        for chunk in ():
            yield chunk

    monkeypatch.setattr(engine, "generate", nothing)
    answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x"})
    assert answer.status_code == EngineError.status
    assert "ended before it began" in answer.json()["error"]
