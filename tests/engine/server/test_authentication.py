"""Who needs a key, what a key is good for, and who counts as being on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ollama_engine.keys import Keyring
from ollama_engine.server.app import create_app
from ollama_engine.server.security.authentication import OPEN_PATHS, Authenticate, RememberPeer
from ollama_engine.server.security.clients import Client, client_of
from ollama_engine.server.security.permissions import INFERENCE
from ollama_engine.settings import HostAddress, Settings
from ollama_engine.types import RequestView
from tests.support.live_server import live_server
from tests.support.scripted_engine import CREATED_AT, ScriptedEngine

ELSEWHERE = "203.0.113.9"
EVERYWHERE = HostAddress(host="0.0.0.0")

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys.json")


@pytest.fixture
async def connect(keyring: Keyring) -> AsyncIterator[Connect]:
    """A client at an address, of a server with some settings."""
    async with AsyncExitStack() as stack:

        def open_client(
            peer: str = ELSEWHERE, token: str = "", engine: ScriptedEngine | None = None, **settings: object
        ) -> httpx.AsyncClient:
            resolved = replace(Settings(host=EVERYWHERE, keys_file=keyring.path), **settings)  # pyright: ignore[reportArgumentType]
            app = create_app(engine or ScriptedEngine(), resolved)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app, client=(peer, 50000)),
                base_url="http://localhost:11434",
                headers={"Authorization": f"Bearer {token}"} if token else None,
            )
            stack.push_async_callback(client.aclose)
            return client

        yield open_client


# Who needs a key


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
async def test_programs_on_this_machine_need_no_key(connect: Connect, peer: str) -> None:
    assert (await connect(peer).get("/api/tags")).status_code == 200


@pytest.mark.parametrize("peer", [ELSEWHERE, "192.168.1.7", "10.0.0.1", "172.17.0.1", "fe80::1%eth0", "::ffff:8.8.8.8"])
async def test_all_others_need_one(connect: Connect, keyring: Keyring, peer: str) -> None:
    _, token = keyring.create()
    assert (await connect(peer).get("/api/tags")).status_code == 401
    assert (await connect(peer, token[:-1]).get("/api/tags")).status_code == 401
    assert (await connect(peer, token).get("/api/tags")).status_code == 200


async def test_a_key_that_is_no_key_is_nothing_to_who_needs_none(connect: Connect) -> None:
    """Clients of OpenAI's dialect always send one, such as `none`."""
    assert (await connect("127.0.0.1", "none").get("/v1/models")).status_code == 200


async def test_a_key_may_be_asked_of_everybody(connect: Connect, keyring: Keyring) -> None:
    _, token = keyring.create()
    assert (await connect("127.0.0.1", require_key="always").get("/api/tags")).status_code == 401
    assert (await connect("127.0.0.1", token, require_key="always").get("/api/tags")).status_code == 200


async def test_a_key_may_be_asked_of_nobody(connect: Connect) -> None:
    http = connect(ELSEWHERE, require_key="never")
    assert (await http.request("DELETE", "/api/delete", json={"model": "bard"})).status_code == 200


async def test_a_key_is_good_from_when_it_is_made_until_it_is_revoked(connect: Connect, keyring: Keyring) -> None:
    http = connect()
    _, token = keyring.create("laptop")
    header = {"Authorization": f"Bearer {token}"}
    assert (await http.get("/api/tags", headers=header)).status_code == 200
    keyring.revoke("laptop")
    assert (await http.get("/api/tags", headers=header)).status_code == 401


async def test_keys_that_cannot_be_read_let_nobody_in_and_say_not_where_they_are(
    connect: Connect, keyring: Keyring
) -> None:
    _, token = keyring.create()
    keyring.path.write_text("{")
    answer = await connect(ELSEWHERE, token).get("/api/tags")
    assert answer.status_code == 507
    assert str(keyring.path.parent) not in answer.text


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
async def test_anybody_may_see_that_a_server_is_there(connect: Connect, path: str) -> None:
    assert (await connect().get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/api/nowhere", "/api/version/", "//api/tags", "/v1/models/x", "/api/%74ags", "/x"])
async def test_nothing_else_is_told_to_who_has_no_key(connect: Connect, path: str) -> None:
    assert (await connect().get(path)).status_code == 401


async def test_a_preflight_needs_no_key_and_the_page_can_read_what_is_missing(connect: Connect) -> None:
    http, page = connect(), {"Origin": "http://localhost:3000"}
    preflight = await http.options("/api/chat", headers={**page, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    answer = await http.post("/api/chat", headers=page)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, page["Origin"])


async def test_a_body_is_not_read_before_the_key(connect: Connect) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert (await connect().post("/api/chat", content=body())).status_code == 401


# How a key comes, and how its absence is told


async def test_a_key_comes_as_a_bearer_token_or_as_anthropics_clients_send_it(
    connect: Connect, keyring: Keyring
) -> None:
    _, token = keyring.create()
    for headers, status in (
        ({"authorization": f"bearer {token}"}, 200),
        ({"Authorization": f"Bearer  {token} "}, 200),
        ({"X-Api-Key": token}, 200),
        ({"Authorization": "Basic eDp5", "x-api-key": token}, 200),
        ({"Authorization": token}, 401),
        ({"Authorization": f"Basic {token}"}, 401),
        ({"Cookie": f"key={token}"}, 401),
    ):
        assert (await connect().get("/api/tags", headers=headers)).status_code == status, headers
    assert (await connect().get(f"/api/tags?key={token}")).status_code == 401
    doubled = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer x")]
    assert (await connect().get("/api/tags", headers=doubled)).status_code == 401


async def test_each_dialect_says_in_its_own_shape_that_a_key_is_missing(connect: Connect) -> None:
    http = connect()
    native = await http.post("/api/chat", json={})
    assert native.json()["error"] == "unauthorized: this server asks for a key"
    assert "OLLAMA_API_KEY" in native.json()["hint"]
    openai = await http.post("/v1/chat/completions", json={})
    assert openai.json()["error"]["code"] == "invalid_api_key"
    assert openai.json()["error"]["type"] == "invalid_request_error"
    anthropic = await http.post("/v1/messages", json={})
    assert (anthropic.json()["type"], anthropic.json()["error"]["type"]) == ("error", "authentication_error")
    for answer in (native, openai, anthropic):
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="ollama-tui"')
    wrong = await http.get("/api/tags", headers={"Authorization": "Bearer x"})
    assert wrong.json()["error"] == "unauthorized: the key is not known here"


async def test_each_dialect_says_in_its_own_shape_that_a_key_is_for_less(connect: Connect, keyring: Keyring) -> None:
    _, token = keyring.create("laptop")
    http = connect(ELSEWHERE, token)
    native = await http.post("/api/pull", json={"model": "x"})
    assert (native.status_code, native.json()["error"]) == (
        403,
        "access denied: the key 'laptop' is for inference only, not for POST /api/pull",
    )
    assert "--scope admin" in native.json()["hint"]


# What a key is good for


def routes() -> list[tuple[str, str]]:
    app = create_app(ScriptedEngine(), Settings())
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
        if method != "HEAD" or "GET" not in (route.methods or ())
    ]


ADMIN = {
    ("POST", "/api/create"),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
    ("HEAD", "/api/blobs/{digest}"),
    ("POST", "/api/blobs/{digest}"),
    ("POST", "/api/pull"),
    ("POST", "/api/push"),
    ("POST", "/api/updates"),
    ("POST", "/api/pulls"),
    ("POST", "/api/pulls/limits"),
    ("DELETE", "/api/pulls/{id}"),
    ("POST", "/api/pulls/{id}/pause"),
    ("POST", "/api/pulls/{id}/resume"),
    ("POST", "/api/pulls/{id}/move"),
    ("POST", "/api/pin"),
}
"""What changes what is there, or tells of what others do."""


def test_every_endpoint_is_known_to_be_for_inference_or_for_administrators() -> None:
    """An endpoint that is in neither list is for administrators until somebody has thought about it."""
    known = {(method, path) for method, path in routes() if path not in OPEN_PATHS}
    assert known - INFERENCE == ADMIN


@pytest.mark.parametrize(("method", "path"), routes())
async def test_a_key_for_inference_is_for_inference(connect: Connect, keyring: Keyring, method: str, path: str) -> None:
    _, inference = keyring.create("small", "inference")
    _, admin = keyring.create("large", "admin")
    url = path.replace("{digest}", "sha256:" + "0" * 64).replace("{id}", "x").replace("{model:name}", "bard")
    may = path in OPEN_PATHS or (method, path) in INFERENCE
    for token, allowed in ((inference, may), (admin, True)):
        answer = await connect(ELSEWHERE, token).request(method, url)
        # The endpoints of Ollama's accounts refuse, too, in other words.
        refused = answer.status_code == 403 and "cloud is disabled" not in answer.text
        assert refused is not allowed


async def test_who_is_no_administrator_sees_and_ends_requests_of_his_own(connect: Connect, keyring: Keyring) -> None:
    _, token = keyring.create("phone")
    _, admin = keyring.create("large", "admin")

    def view(id: str, client: str) -> RequestView:
        return RequestView(id=id, kind="chat", model="bard", state="prompt", created_at=CREATED_AT, client=client)

    engine = ScriptedEngine()
    engine.running_requests = [view("a", f"{ELSEWHERE} (phone)"), view("b", "127.0.0.1"), view("c", f"{ELSEWHERE} (x)")]
    phone, administrator = connect(ELSEWHERE, token, engine), connect(ELSEWHERE, admin, engine)
    for http, ids in ((phone, ["a"]), (administrator, ["a", "b", "c"])):
        assert [entry["id"] for entry in (await http.get("/api/requests")).json()["requests"]] == ids
    for id in ("b", "c", "d"):
        answer = await phone.delete(f"/api/requests/{id}")
        assert (answer.status_code, answer.json()["error"]) == (404, f"there is no request '{id}'")
    assert (await phone.delete("/api/requests/a")).status_code == 200
    assert (await administrator.delete("/api/requests/b")).status_code == 200
    assert [left.id for left in engine.running_requests] == ["c"]


async def test_an_unknown_path_is_not_found_with_any_key(connect: Connect, keyring: Keyring) -> None:
    _, token = keyring.create()
    http = connect(ELSEWHERE, token)
    assert (await http.get("/api/nowhere")).status_code == 404
    assert (await http.get("/api/pull")).status_code == 405


@pytest.mark.parametrize("zero", [0, "0s", "0m", -0.0])
@pytest.mark.parametrize(
    ("path", "work"),
    [
        ("/api/generate", {"prompt": "x"}),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
        ("/api/embed", {"input": "x"}),
        ("/api/embeddings", {"prompt": "x"}),
    ],
)
async def test_unloading_a_model_is_for_administrators(
    connect: Connect, keyring: Keyring, path: str, work: dict[str, object], zero: object
) -> None:
    _, inference = keyring.create("small", "inference")
    _, admin = keyring.create("large", "admin")
    unload = {"model": "bard", "keep_alive": zero}
    assert (await connect(ELSEWHERE, inference).post(path, json=unload)).status_code == 403
    assert (await connect(ELSEWHERE, inference).post(path, json=unload | work)).status_code == 200
    assert (
        await connect(ELSEWHERE, inference).post(path, json={"model": "bard", "keep_alive": "5m"})
    ).status_code == 200
    assert (await connect(ELSEWHERE, admin).post(path, json=unload)).status_code == 200


async def test_who_sends_a_key_has_what_the_key_has_on_this_machine_too(connect: Connect, keyring: Keyring) -> None:
    _, token = keyring.create()
    assert (await connect("127.0.0.1", token).post("/api/pull", json={"model": "x"})).status_code == 403


# Proxies


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({}, True),
        ({"X-Forwarded-For": "127.0.0.1"}, True),
        ({"X-Forwarded-For": "::1, 127.0.0.1"}, True),
        ({"Forwarded": 'for="[::1]:4711";proto=http'}, True),
        ({"X-Forwarded-For": ELSEWHERE}, False),
        ({"X-Forwarded-For": f"127.0.0.1, {ELSEWHERE}"}, False),
        ({"X-Forwarded-For": f"{ELSEWHERE}, 127.0.0.1"}, False),
        ({"X-Forwarded-For": "127.0.0.1", "X-Real-IP": ELSEWHERE}, False),
        ({"X-Forwarded-For": "127.0.0.1", "Forwarded": f"for={ELSEWHERE}"}, False),
        ({"X-Forwarded-For": "127.0.0.1", "CF-Connecting-IP": ELSEWHERE}, False),
        ({"X-Forwarded-For": ""}, False),
        ({"X-Forwarded-For": "unknown"}, False),
        ({"Forwarded": "for=_hidden"}, False),
        ({"Forwarded": "proto=https"}, False),
        ({"Forwarded": 'for="[2001:db8::1]:80"'}, False),
        ({"Via": "1.1 proxy"}, False),
        ({"X-Forwarded-Proto": "https"}, False),
        ({"X-Forwarded-Host": "llm.example.org"}, False),
    ],
)
async def test_a_proxy_on_this_machine_does_not_make_strangers_local(
    connect: Connect, headers: dict[str, str], local: bool
) -> None:
    assert (await connect("127.0.0.1").get("/api/tags", headers=headers)).status_code == (200 if local else 401)


@pytest.mark.parametrize("trusted", [(), (ELSEWHERE,), ("0.0.0.0/0",)])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"])
async def test_no_header_makes_a_stranger_local(connect: Connect, header: str, trusted: tuple[str, ...]) -> None:
    http = connect(ELSEWHERE, trusted_proxies=trusted)
    for value in ("127.0.0.1", "::1", "localhost", "for=127.0.0.1"):
        assert (await http.get("/api/tags", headers={header: value})).status_code == 401


async def seen_client(keyring: Keyring, peer: str, trusted: list[str], headers: list[tuple[bytes, bytes]]) -> Client:
    """What an endpoint is told of who asks."""
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    seen: list[Client] = []

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(client_of(scope))

    app = RememberPeer(ProxyHeadersMiddleware(Authenticate(endpoint, keyring, "remote"), trusted))  # pyright: ignore[reportArgumentType]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (peer, 1)}
    await app(scope, None, None)  # pyright: ignore[reportArgumentType]
    return seen[0]


async def test_a_trusted_proxy_gives_the_clients_address_and_an_endpoint_its_name(keyring: Keyring) -> None:
    _, token = keyring.create("laptop")
    forwarded = (b"x-forwarded-for", f"6.6.6.6, {ELSEWHERE}, 10.0.0.3".encode())
    bearer = (b"authorization", f"Bearer {token}".encode())
    client = await seen_client(keyring, "10.0.0.2", ["10.0.0.0/8"], [forwarded, bearer])
    assert (client.name, client.local, client.is_admin) == (f"{ELSEWHERE} (laptop)", False, False)
    assert (await seen_client(keyring, "10.0.0.2", ["10.9.0.0/16"], [forwarded])).name == "10.0.0.2"
    junk = (b"x-forwarded-for", b"<script>")
    assert (await seen_client(keyring, "10.0.0.2", ["10.0.0.2"], [junk])).name == "unknown"
    mapped = await seen_client(keyring, "::ffff:127.0.0.1", ["10.0.0.2"], [])
    assert (mapped.name, mapped.local, mapped.is_admin) == ("127.0.0.1", True, True)


# Host names


async def test_a_page_re_pointed_at_this_machine_is_refused_by_a_server_that_is_bound_to_all_addresses(
    connect: Connect, keyring: Keyring
) -> None:
    _, token = keyring.create()
    foreign = {"Host": "evil.example:11434"}
    assert (await connect("127.0.0.1").get("/api/tags", headers=foreign)).status_code == 403
    assert (await connect("127.0.0.1", token).get("/api/tags", headers=foreign)).status_code == 200
    assert (await connect(ELSEWHERE, token).get("/api/tags", headers=foreign)).status_code == 200
    assert (await connect(ELSEWHERE, require_key="never").get("/api/tags", headers=foreign)).status_code == 200


# Over a real connection


@asynccontextmanager
async def on_the_network(settings: Settings) -> AsyncIterator[str]:
    """A server at an address of this machine that is not loopback; skips where it has none."""
    import ollama_engine.server.security.addresses as addresses

    texts = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
    found = [text for text in texts if (address := addresses.address_of(text)) and address.version == 4]
    outside = next((text for text in found if not addresses.is_loopback(text)), None)
    if outside is None:
        pytest.skip("this machine has no address but loopback")
    async with live_server(ScriptedEngine(), settings, host="0.0.0.0") as address:
        yield f"http://{outside}:{address.port}"


async def test_over_the_network_a_key_is_needed(keyring: Keyring) -> None:
    _, token = keyring.create()
    async with on_the_network(Settings(keys_file=keyring.path)) as url, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{url}/api/tags")).status_code == 401
        assert (await http.get(f"{url}/api/tags", headers={"x-api-key": token})).status_code == 200
