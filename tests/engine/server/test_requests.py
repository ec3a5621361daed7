"""`/api/requests` and `/api/pin`; who a client is; and how each dialect tells that its request was canceled."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import httpx
import pytest

from ollama_engine import terminal_pass
from ollama_engine.caller import Caller, current_caller
from ollama_engine.server.app import create_app
from ollama_engine.server.callers import caller_of
from ollama_engine.server.security.clients import Client, set_client
from ollama_engine.settings import Settings
from ollama_engine.types import ChatRequest, GenerateRequest, RequestView
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine

USER = [{"role": "user", "content": "x"}]
CHAT = {"model": "bard", "messages": USER}


async def test_requests_are_listed_and_canceled(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    assert (await http.get("/api/requests")).json() == {"requests": []}
    engine.running_requests = [
        RequestView(id="ab1", kind="chat", model="bard", state="generating", created_at="2026-01-01T00:00:00Z"),
        RequestView(id="ab2", kind="embed", model="m", state="waiting", created_at="", client="10.0.0.7", position=3),
    ]
    assert (await http.get("/api/requests")).json()["requests"] == [
        {"id": "ab1", "kind": "chat", "model": "bard", "state": "generating", "created_at": "2026-01-01T00:00:00Z"},
        {
            "id": "ab2",
            "kind": "embed",
            "model": "m",
            "state": "waiting",
            "created_at": "",
            "client": "10.0.0.7",
            "position": 3,
        },
    ]
    answer = await http.delete("/api/requests/ab2")
    assert (answer.status_code, answer.content) == (200, b"")
    assert [view.id for view in engine.running_requests] == ["ab1"]
    answer = await http.delete("/api/requests/ab2")
    assert (answer.status_code, answer.json()["error"]) == (404, "there is no request 'ab2'")
    assert (await http.post("/api/requests", json={})).status_code == 405


async def test_a_model_is_pinned_and_let_go(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    assert (await http.post("/api/pin", json={"model": "bard"})).status_code == 200
    assert engine.pinned == {"bard:latest"}
    assert (await http.post("/api/pin", json={"name": "bard", "pinned": False})).status_code == 200
    assert engine.pinned == set()
    assert (await http.post("/api/pin", json={"model": "absent"})).status_code == 404
    assert (await http.post("/api/pin", json={})).json()["error"] == "model is required"


# -- a request that somebody has canceled ------------------------------------------------------------------------


@pytest.fixture
def canceled(engine: ScriptedEngine) -> ScriptedEngine:
    engine.last = {"done_reason": "canceled"}
    return engine


async def test_ollamas_dialect_says_so_in_the_last_chunk(http: httpx.AsyncClient, canceled: ScriptedEngine) -> None:
    lines = [json.loads(line) for line in (await http.post("/api/chat", json=CHAT)).text.splitlines()]
    assert [line["message"]["content"] for line in lines] == ["Hello", " world", ""]
    assert lines[-1]["done_reason"] == "canceled"
    whole = (await http.post("/api/generate", json={"model": "bard", "prompt": "x", "stream": False})).json()
    assert (whole["response"], whole["done_reason"]) == ("Hello world", "canceled")


OTHERS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "bard", "prompt": "x"},
    "/v1/responses": {"model": "bard", "input": "x"},
    "/v1/messages": CHAT | {"max_tokens": 9},
}


@pytest.mark.parametrize("path", OTHERS)
async def test_the_other_dialects_have_an_error_for_it(
    http: httpx.AsyncClient, canceled: ScriptedEngine, path: str
) -> None:
    whole = await http.post(path, json=OTHERS[path])
    assert whole.status_code == 499
    assert whole.json()["error"]["message"] == "request canceled"
    streamed = await http.post(path, json=OTHERS[path] | {"stream": True})
    assert streamed.status_code == 200
    assert "Hello" in streamed.text
    assert "request canceled" in streamed.text
    for complete in ('"finish_reason":"stop"', "response.completed", "message_stop"):
        assert complete not in streamed.text


# -- who asks ----------------------------------------------------------------------------------------------------


def scope(host: str, **headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    found: dict[str, Any] = {"type": "http", "headers": raw}
    set_client(found, Client(host, local=host in ("127.0.0.1", "::1")))
    return found


@pytest.mark.parametrize(
    ("asked", "caller"),
    [
        (scope("10.0.0.7", user_agent="curl/8"), Caller("10.0.0.7")),
        (scope("127.0.0.1"), Caller("127.0.0.1")),
        (scope("127.0.0.1", user_agent="ollama-python/0.6 (x86_64)"), Caller("127.0.0.1 ollama-python/0.6")),
        (scope("::1", user_agent="\x1b[31m evil"), Caller("::1")),
        (scope("127.0.0.1", user_agent="a" * 500), Caller(f"127.0.0.1 {'a' * 40}")),
        (scope("127.0.0.1", x_ollama_tui_terminal="secret"), Caller("127.0.0.1 (terminal)", local=True)),
        (scope("127.0.0.1", x_ollama_tui_terminal="secre"), Caller("127.0.0.1")),
        (scope("127.0.0.1", x_ollama_tui_terminal=""), Caller("127.0.0.1")),
        (scope("10.0.0.7", x_ollama_tui_terminal="secret"), Caller("10.0.0.7")),
        ({"type": "http", "headers": []}, Caller("unknown")),
    ],
)
def test_a_caller_is_its_address_and_on_this_machine_its_program(asked: dict[str, Any], caller: Caller) -> None:
    assert caller_of(asked, "secret") == caller


def test_without_a_pass_nobody_has_one() -> None:
    assert caller_of(scope("127.0.0.1", x_ollama_tui_terminal=""), "") == Caller("127.0.0.1")


class NotingEngine(ScriptedEngine):
    """Who asked for a chat, and who for a text."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller] = []

    def chat(self, request: ChatRequest) -> Any:
        return self._noted(super().chat(request))

    def generate(self, request: GenerateRequest) -> Any:
        return self._noted(super().generate(request))

    async def _noted(self, chunks: Any) -> Any:
        self.callers.append(current_caller.get())
        async for chunk in chunks:
            yield chunk


async def test_the_engine_hears_who_asks_whatever_way_the_request_takes() -> None:
    engine = NotingEngine()
    transport = httpx.ASGITransport(app=create_app(engine, Settings(require_key="never")), client=("10.0.0.7", 99))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await http.post("/api/chat", json=CHAT)
        await http.post("/v1/chat/completions", json=CHAT | {"n": 3})
    assert engine.callers == [Caller("10.0.0.7")] * 4
    assert current_caller.get().name == "local"


# -- the terminal of the server's own user -----------------------------------------------------------------------


async def test_a_terminal_of_ours_goes_first_at_a_server_of_ours(home: Path) -> None:
    from ollama_engine.remote import RemoteEngine

    engine = NotingEngine()
    async with live_server(engine) as address:
        [path] = (home / "state").rglob(str(address.port))
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        async with RemoteEngine(address) as remote:
            _ = [chunk async for chunk in remote.chat(ChatRequest("bard", []))]
        path.chmod(0)
        async with httpx.AsyncClient(base_url=address.url, headers={"User-Agent": "other/1"}) as other:
            await other.post("/api/chat", json=CHAT)
        path.chmod(0o600)
    assert engine.callers == [Caller("127.0.0.1 (terminal)", local=True), Caller("127.0.0.1 other/1")]
    assert not path.exists()


def test_a_pass_is_new_each_time_and_an_old_server_leaves_a_new_ones_alone(home: Path) -> None:
    first = terminal_pass.issue(1234)
    second = terminal_pass.issue(1234)
    assert len({first, second, terminal_pass.issue(1235)}) == 3
    assert terminal_pass.read(1234) == second
    terminal_pass.revoke(1234, first)
    assert terminal_pass.read(1234) == second
    terminal_pass.revoke(1234, second)
    assert terminal_pass.read(1234) == ""


def test_where_no_pass_can_be_written_nobody_has_one(home: Path) -> None:
    (home / "state").write_text("not a folder")
    assert terminal_pass.issue(1234) == ""
    assert terminal_pass.read(1234) == ""
    terminal_pass.revoke(1234, "")
