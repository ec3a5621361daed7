"""Which hosts and which web pages may reach the API (spec §0.1)."""

from __future__ import annotations

import socket
from dataclasses import replace

import httpx
import pytest

from ollama_engine.server.app import create_app
from ollama_engine.server.security.addresses import is_loopback
from ollama_engine.settings import HostAddress, Settings
from tests.support.scripted_engine import ScriptedEngine


def client(settings: Settings) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(ScriptedEngine(), settings))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:11434")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:11434",
        "[::1]:11434",
        "10.1.2.3",
        "192.168.0.9:80",
        "172.31.0.1",
        "[fd00::1]",
        "0.0.0.0",
        "my.localhost",
        "box.local:9",
        "x.internal",
        socket.gethostname(),
    ],
)
async def test_hosts_of_this_machine_and_its_network_pass(http: httpx.AsyncClient, host: str) -> None:
    assert (await http.get("/api/version", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":11434",
        "evil.example",
        "evil.example:11434",
        "8.8.8.8",
        "172.32.0.1",
        "localhost.evil.example",
        "[::1",
        "a b",
    ],
)
async def test_other_hosts_are_refused_with_an_empty_body(http: httpx.AsyncClient, host: str) -> None:
    answer = await http.get("/api/version", headers={"Host": host})
    assert (answer.status_code, answer.content) == (403, b"")


async def test_two_hosts_are_refused(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/version", headers=[("Host", "localhost"), ("Host", "evil.example")])
    assert answer.status_code == 403


async def test_a_server_that_is_open_to_anybody_has_no_host_rule() -> None:
    async with client(Settings(host=HostAddress(host="0.0.0.0"), require_key="never")) as http:
        assert (await http.get("/api/version", headers={"Host": "gpu-box.example"})).status_code == 200


async def test_options_to_a_local_name_is_answered_at_once(http: httpx.AsyncClient) -> None:
    assert (await http.options("/api/chat")).status_code == 204
    assert (await http.options("/api/chat", headers={"Host": "evil.example"})).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "https://localhost:8443",
        "http://127.0.0.1:3000",
        "http://0.0.0.0:1",
        "app://x",
        "file://y",
        "tauri://localhost",
        "vscode-webview://abc",
        "vscode-file://vscode-app",
    ],
)
async def test_local_pages_may_call(http: httpx.AsyncClient, origin: str) -> None:
    answer = await http.get("/api/version", headers={"Origin": origin})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost:3000.evil.example",
        "http://localhost:",
        "ftp://localhost",
        "http://127.0.0.1:99999999",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_other_pages_are_refused(http: httpx.AsyncClient, origin: str, method: str) -> None:
    answer = await http.request(method, "/api/version", headers={"Origin": origin})
    assert (answer.status_code, answer.content) == (403, b"")
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_of_the_same_host_passes_untouched(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/version", headers={"Origin": "http://box.local:9", "Host": "box.local:9"})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_says_what_is_allowed(http: httpx.AsyncClient) -> None:
    answer = await http.options(
        "/api/chat", headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert answer.headers["access-control-allow-methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
    assert answer.headers["access-control-max-age"] == "43200"
    allowed = answer.headers["access-control-allow-headers"].split(",")
    assert {"Authorization", "Content-Type", "OpenAI-Beta", "x-stainless-retry-count"} <= set(allowed)
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_error_can_be_read_by_the_page_that_caused_it(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/chat", headers={"Origin": "http://localhost:3000"}, content=b"")
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_configured_origins_are_allowed_with_wildcards() -> None:
    settings = replace(Settings(), origins=("https://*.example.org", "https://one.example"))
    async with client(settings) as http:
        for origin, status in {
            "https://a.example.org": 200,
            "https://one.example": 200,
            "http://localhost:5": 200,
            "https://example.com": 403,
        }.items():
            assert (await http.get("/api/version", headers={"Origin": origin})).status_code == status


async def test_a_star_allows_every_origin() -> None:
    async with client(replace(Settings(), origins=("*",))) as http:
        answer = await http.get("/api/version", headers={"Origin": "https://evil.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        preflight = await http.options("/api/chat", headers={"Origin": "https://evil.example"})
        assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, "*")


async def test_cors_comes_before_the_host_rule(http: httpx.AsyncClient) -> None:
    answer = await http.options("/api/chat", headers={"Origin": "http://localhost:1", "Host": "evil.example"})
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False)],
)
def test_loopback_addresses_are_recognised(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
