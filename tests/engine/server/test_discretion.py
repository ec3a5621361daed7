"""No answer tells where anything lies on the server's machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ollama_engine.errors import EngineError, StoreError
from ollama_engine.local import LocalEngine
from ollama_engine.server.discretion import Discretion
from ollama_engine.settings import Settings
from tests.support.gguf_models import scripted_model
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
async def http(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(models=root)
    async with (
        LocalEngine(settings) as engine,
        live_server(engine, settings) as address,
        httpx.AsyncClient(base_url=address.url) as client,
    ):
        yield client


async def every_answer(http: httpx.AsyncClient, model: str, digest: str) -> dict[str, str]:
    """What each endpoint says to a request that has to do with this model or blob."""
    named = {"model": model, "stream": False}
    chat = {**named, "messages": [{"role": "user", "content": "x"}], "max_tokens": 3}
    requests: list[tuple[str, str, object]] = [
        ("GET", "/api/tags", None),
        ("GET", "/api/ps", None),
        ("GET", "/api/pulls", None),
        ("POST", "/api/show", named),
        ("POST", "/api/generate", {**named, "prompt": "x"}),
        ("POST", "/api/generate", {"model": model, "prompt": "x"}),
        ("POST", "/api/chat", chat),
        ("POST", "/api/chat", {**chat, "stream": True}),
        ("POST", "/api/embed", {**named, "input": "x"}),
        ("POST", "/api/embeddings", {**named, "prompt": "x"}),
        ("POST", "/api/rerank", {**named, "query": "x", "documents": ["y"]}),
        ("POST", "/api/tokenize", {**named, "content": "x"}),
        ("POST", "/api/detokenize", {**named, "tokens": [1]}),
        ("POST", "/api/create", {"model": "new", "files": {"model.gguf": digest}}),
        ("POST", "/api/copy", {"source": model, "destination": "new"}),
        ("POST", f"/api/blobs/{digest}", "x"),
        ("HEAD", f"/api/blobs/{digest}", None),
        ("GET", f"/v1/models/{model}", None),
        ("POST", "/v1/chat/completions", {**chat, "stream": True}),
        ("POST", "/v1/completions", {**named, "prompt": "x"}),
        ("POST", "/v1/embeddings", {**named, "input": "x"}),
        ("POST", "/v1/responses", {"model": model, "input": "x"}),
        ("POST", "/v1/messages", chat),
        ("POST", "/v1/messages/count_tokens", chat),
    ]
    answers = {}
    for method, path, body in requests:
        content = body if isinstance(body, str) else None if body is None else json.dumps(body)
        answers[f"{method} {path} {body}"] = (await http.request(method, path, content=content)).text
    return answers


def telling(answers: dict[str, str], root: Path) -> dict[str, str]:
    """Those that tell where the store lies, or what made the server stumble."""
    words = (str(root), str(root.parent), os.path.realpath(root), "Traceback", 'File "', "site-packages")
    return {request: text for request, text in answers.items() if any(word in text for word in words)}


@pytest.mark.parametrize("of", ["manifest", "blob"])
async def test_what_is_wrong_in_the_store_is_told_without_its_place(
    http: httpx.AsyncClient, root: Path, tmp_path: Path, of: str
) -> None:
    data = scripted_model(tmp_path / "story.gguf", "Once.").read_bytes()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    await http.post(f"/api/blobs/{digest}", content=data)
    made = await http.post("/api/create", json={"model": "story", "files": {"story.gguf": digest}, "stream": False})
    assert made.status_code == 200
    (tmp_path / "outside").write_text("x" * 100)
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / "story" / "latest"
    path = manifest if of == "manifest" else root / "blobs" / digest.replace(":", "-")
    for fault in ("gone", "broken", "a folder", "a link out of the store", "a link in a circle"):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        if fault == "a link out of the store":
            path.symlink_to(tmp_path / "outside")
        elif fault == "a link in a circle":
            path.symlink_to(path)
        elif fault == "a folder":
            path.mkdir()
        elif fault == "broken":
            path.write_text("{")
        answers = await every_answer(http, "story", digest)
        assert telling(answers, root) == {}, fault
        assert "error" in answers["POST /api/generate {'model': 'story', 'stream': False, 'prompt': 'x'}"], fault


async def test_an_error_inside_a_stream_is_discreet_too(tmp_path: Path) -> None:
    engine = ScriptedEngine(["one", StoreError(f"cannot read {tmp_path}/models/blobs/x: it is gone")])
    settings = Settings(models=tmp_path / "models")
    async with live_server(engine, settings) as address, httpx.AsyncClient(base_url=address.url) as http:
        native = await http.post("/api/generate", json={"model": "bard", "prompt": "x"})
        openai = await http.post(
            "/v1/chat/completions",
            json={"model": "bard", "messages": [{"role": "user", "content": "x"}], "stream": True},
        )
    assert "cannot read OLLAMA_MODELS/blobs/x: it is gone" in native.text
    assert "cannot read OLLAMA_MODELS/blobs/x: it is gone" in openai.text


async def test_the_log_has_what_the_client_is_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = ScriptedEngine(
        [StoreError(f"cannot read {tmp_path}/models/blobs/x", hint=f"Look into {tmp_path}/models.")]
    )
    settings = Settings(models=tmp_path / "models")
    async with live_server(engine, settings) as address, httpx.AsyncClient(base_url=address.url) as http:
        answer = await http.post("/api/generate", json={"model": "bard", "prompt": "x", "stream": False})
    assert answer.json() == {"error": "cannot read OLLAMA_MODELS/blobs/x", "hint": "Look into OLLAMA_MODELS."}
    assert f"cannot read {tmp_path}/models/blobs/x" in caplog.text


def test_folders_are_named_and_what_only_looks_like_one_is_left(home: Path) -> None:
    discretion = Discretion({home / "models": "OLLAMA_MODELS", home: "~", Path("/"): "ROOT", Path("/tmp"): "TMPDIR"})
    for text, told in {
        f"cannot read {home}/models/blobs/x: no": "cannot read OLLAMA_MODELS/blobs/x: no",
        f"'{home}/models'": "'OLLAMA_MODELS'",
        f"{home}/models2/x": "~/models2/x",
        f"{home}x": f"{home}x" if not str(home).startswith("/tmp/") else f"TMPDIR{str(home)[4:]}x",
        "/api/blobs/x and https://example.org/tmp/x": "/api/blobs/x and https://example.org/tmp/x",
    }.items():
        assert discretion.text(text) == told


def test_a_file_elsewhere_is_told_by_its_name() -> None:
    error = EngineError("/data/w.gguf was changed", path=Path("/data/w.gguf"))
    assert Discretion({}).error(error).message == "w.gguf was changed"
