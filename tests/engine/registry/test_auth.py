"""Who gets which credentials, and who does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from ollama_engine.errors import StoreError
from ollama_engine.registry import (
    AccessDenied,
    HostConfig,
    Registry,
    RegistryConfig,
    RegistryError,
    UnsafeRedirect,
    keys,
)
from ollama_engine.registry.challenge import Challenge, parse_challenges
from ollama_engine.store import Store, names
from tests.engine.registry.conftest import MIB, Weights, model_bytes, name_at, pull
from tests.support.registry_proxy import Exchange, Proxy, running_proxy
from tests.support.registry_server import PASSWORD, USER, RunningRegistry, running_registry, upload


@pytest.fixture(scope="module")
def private_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry that wants USER and PASSWORD, holding `private/model`."""
    with running_registry(tmp_path_factory.mktemp("private"), htpasswd=True) as server:
        layers = [("application/vnd.ollama.image.model", b"secret weights" * MIB)]
        upload(server.url, "private/model", "latest", layers, (USER, PASSWORD))
        yield server


def knowing(config: RegistryConfig, host: str, settings: HostConfig) -> RegistryConfig:
    return msgspec.structs.replace(config, hosts={host: settings})


# --- basic authentication, against the real registry


async def test_a_private_registry_lets_in_who_knows_the_password(
    private_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    config = knowing(config, private_server.host, HostConfig(username=USER, password=PASSWORD))
    name = name_at(private_server.host, "private/model")
    await pull(store, config, name)
    assert model_bytes(store, name) == b"secret weights" * MIB


@pytest.mark.parametrize("settings", [HostConfig(), HostConfig(username=USER, password="a guess")])
async def test_a_private_registry_keeps_out_everybody_else(
    settings: HostConfig, private_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    config = knowing(config, private_server.host, settings)
    with pytest.raises(AccessDenied, match="unauthorized: access denied") as caught:
        await pull(store, config, name_at(private_server.host, "private/model"))
    assert "config.toml" in caught.value.hint
    assert PASSWORD not in str(caught.value) + caught.value.hint


async def test_a_password_is_not_sent_before_it_is_asked_for(
    private_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async with running_proxy(private_server.host) as proxy:
        config = knowing(config, proxy.host, HostConfig(username=USER, password=PASSWORD))
        await pull(store, config, name_at(proxy.host, "private/model"))
        first, second, *rest = proxy.log
        assert "authorization" not in first.headers
        assert all(seen.headers["authorization"].startswith("Basic ") for seen in (second, *rest))


# --- bearer tokens, from a registry that asks for them as Ollama's does


class TokenGate:
    """Lets through who brings a token, and gives one to who signs for it."""

    def __init__(self, realm: str = "http://{host}/token") -> None:
        self.realm = realm
        self.asked: list[tuple[str, str]] = []
        self.expired = 0

    async def __call__(self, exchange: Exchange) -> None:
        seen = exchange.seen
        if seen.path.startswith("/token"):
            self.asked.append((f"http://{exchange.proxy.host}{seen.path}", seen.headers["authorization"]))
            await exchange.answer(200, {}, b'{"token":"t%d"}' % len(self.asked))
        elif seen.headers.get("authorization") == f"Bearer t{len(self.asked)}" and len(self.asked) > self.expired:
            async with exchange.reply(authorization="") as reply:
                await exchange.begin(reply.status, reply.headers)
                async for chunk in reply.body:
                    await exchange.send(chunk)
        else:
            realm = self.realm.format(host=exchange.proxy.host)
            challenge = f'Bearer realm="{realm}",service="reg",scope="repository:a:pull repository:b:pull"'
            await exchange.answer(401, {"www-authenticate": challenge})


async def test_a_token_is_bought_with_a_signature_of_our_key(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(5 * MIB)
    gate = TokenGate()
    async with running_proxy(registry_server.host, gate) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, config, name)
        assert model_bytes(store, name) == data
    [(url, authorization)] = gate.asked
    query = parse_qs(urlsplit(url).query)
    assert query["scope"] == ["repository:a:pull", "repository:b:pull"]
    assert query["service"] == ["reg"]
    assert query["ts"][0].isdigit()
    assert len(base64.urlsafe_b64decode(query["nonce"][0] + "==")) == 16
    public, _, signature = authorization.partition(":")
    empty = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
    key = load_ssh_public_key(f"ssh-ed25519 {public}".encode())
    assert isinstance(key, Ed25519PublicKey)
    key.verify(base64.b64decode(signature), f"GET,{url},{empty}".encode())
    assert config.key_file.with_name("id_ed25519.pub").read_text().split()[1] == public


async def test_an_expired_token_is_renewed_and_the_pull_goes_on(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(5 * MIB)
    gate = TokenGate()

    async def expiring(exchange: Exchange) -> None:
        if exchange.seen.is_blob and not gate.expired:
            gate.expired = 1
        await gate(exchange)

    async with running_proxy(registry_server.host, expiring) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, config, name)
        assert model_bytes(store, name) == data
    assert len(gate.asked) == 2


@pytest.mark.parametrize(
    "realm",
    ["https://evil.example/token", "http://localhost:1/token", "ftp://{host}/token", "http://u:p@{host}/", "nonsense"],
)
async def test_a_signature_goes_to_the_registrys_own_host_only(
    realm: str, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    gate = TokenGate(realm)
    async with running_proxy(registry_server.host, gate) as proxy:
        with pytest.raises(RegistryError, match=r"identify ourselves to|realm is no URL"):
            await pull(store, config, name_at(proxy.host, "tests/any"))
    assert gate.asked == []
    assert not config.key_file.exists()


async def test_a_host_named_in_realms_may_hand_out_tokens(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(MIB)
    issuer, gate = TokenGate(), TokenGate()
    async with running_proxy(registry_server.host, issuer) as other:
        gate.realm = f"http://localhost:{other.host.rpartition(':')[2]}/token"
        gate.asked = issuer.asked
        async with running_proxy(registry_server.host, gate) as proxy:
            name = name_at(proxy.host, repository)
            await pull(store, knowing(config, proxy.host, HostConfig(realms=("localhost",))), name)
            assert model_bytes(store, name) == data


async def test_a_token_that_is_refused_ends_in_access_denied(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    gate = TokenGate()
    gate.expired = 1000
    async with running_proxy(registry_server.host, gate) as proxy:
        with pytest.raises(AccessDenied, match="unauthorized: access denied"):
            await pull(store, config, name_at(proxy.host, "tests/any"))
    assert len(gate.asked) == 1


async def test_a_configured_token_is_sent_to_its_own_host(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(MIB)
    async with running_proxy(registry_server.host) as proxy:
        await pull(store, knowing(config, proxy.host, HostConfig(token="hf_x")), name_at(proxy.host, repository))
        assert {seen.headers.get("authorization") for seen in proxy.log} == {"Bearer hf_x"}


def test_hugging_face_gets_the_token_its_own_tools_use(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    (home / ".cache" / "huggingface").mkdir(parents=True)
    (home / ".cache" / "huggingface" / "token").write_text("hf_stored\n")
    assert RegistryConfig().host("hf.co", {}).token == "hf_stored"
    assert RegistryConfig().host("huggingface.co", {"HF_TOKEN": "hf_set"}).token == "hf_set"
    assert RegistryConfig().host("registry.ollama.ai", {"HF_TOKEN": "hf_set"}).token == ""


# --- redirects


async def test_credentials_do_not_follow_a_redirect_to_another_origin(
    private_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async with running_proxy(private_server.host, grant) as storage:

        async def redirect(exchange: Exchange) -> None:
            if exchange.seen.is_blob and "authorization" in exchange.seen.headers:
                await exchange.answer(307, {"location": f"http://{storage.host}{exchange.seen.path}"})
            else:
                await exchange.forward()

        async with running_proxy(private_server.host, redirect) as proxy:
            config = knowing(config, proxy.host, HostConfig(username=USER, password=PASSWORD))
            name = name_at(proxy.host, "private/model")
            await pull(store, config, name)
            assert len(model_bytes(store, name)) == 14 * MIB
        assert storage.blobs
        assert all("authorization" not in seen.headers for seen in storage.log)


async def grant(exchange: Exchange) -> None:
    """Storage with signed URLs: asks the registry with a password of its own."""
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    async with exchange.reply(authorization=f"Basic {basic}") as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(chunk)


class ToProxy(httpx.AsyncBaseTransport):
    """Takes every host name, and https, to one proxy on this machine, as if it were out in the world."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=int(self._proxy.host.split(":")[1]))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


ADDRESSES = {
    "registry.test": ["8.8.8.8"],
    "cdn.test": ["1.1.1.1", "2606:4700::1"],
    "inside.test": ["1.1.1.1", "10.0.0.7"],
}


async def addresses(host: str, port: int) -> Sequence[str]:
    return ADDRESSES[host]


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("https://cdn.test", True),
        ("https://inside.test", False),
        ("http://cdn.test", False),
        ("https://127.0.0.1:8000", False),
        ("https://localhost", False),
        ("https://[::1]:80", False),
        ("https://[::ffff:127.0.0.1]", False),
        ("https://169.254.169.254", False),
        ("https://192.168.1.1", False),
        ("https://0.0.0.0", False),
        ("https://user:pass@cdn.test", False),
    ],
)
async def test_a_registry_in_the_world_cannot_send_us_into_our_own_network(
    target: str, allowed: bool, weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(MIB)

    async def redirect(exchange: Exchange) -> None:
        if exchange.seen.is_blob and not exchange.seen.path.endswith("?there"):
            await exchange.answer(307, {"location": f"{target}{exchange.seen.path}?there"})
        else:
            exchange.seen.path = exchange.seen.path.removesuffix("?there")
            await exchange.forward()

    name = names.parse(f"registry.test/{repository}")
    async with (
        running_proxy(registry_server.host, redirect) as proxy,
        httpx.AsyncClient(transport=ToProxy(proxy)) as http,
        Registry(store, config=config, http=http, resolve=addresses) as registry,
    ):
        if allowed:
            assert [step.status async for step in registry.pull(name)][-1] == "success"
            assert model_bytes(store, name) == data
        else:
            with pytest.raises(UnsafeRedirect):
                async for _ in registry.pull(name):
                    pass


# --- the key


def test_the_key_is_made_once_as_openssh_makes_keys_and_for_its_owner_only(home: Path) -> None:
    path = home / ".ollama" / "id_ed25519"
    first, second = keys.load_or_create(path), keys.load_or_create(path)
    assert first.public_key == second.public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(os.listdir(path.parent)) == ["id_ed25519", "id_ed25519.pub"]
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    shown = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[:2] == ["ssh-ed25519", first.public_key]


async def test_programs_that_make_the_key_at_once_agree_on_it(home: Path) -> None:
    path = home / "id_ed25519"
    made = await asyncio.gather(*(asyncio.to_thread(keys.load_or_create, path) for _ in range(8)))
    assert len({identity.public_key for identity in made}) == 1


def test_a_key_that_is_none_is_an_error_that_says_so(home: Path) -> None:
    path = home / "id_ed25519"
    path.write_text("not a key")
    with pytest.raises(StoreError, match="cannot use the key in"):
        keys.load_or_create(path)
    assert path.read_text() == "not a key"


# --- challenges


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic")]),
        ('Basic realm="a, b=\\"c\\""', [Challenge("basic", 'a, b="c"')]),
        ('Bearer realm="https://r/t",service="s",scope="x y"', [Challenge("bearer", "https://r/t", "s", "x y")]),
        ('basic realm=a, BEARER REALM="b"', [Challenge("basic", "a"), Challenge("bearer", "b")]),
        ("=,=,=", []),
        ('realm="x"', []),
        ('Bearer realm="unfinished', [Challenge("bearer")]),
        ("a" * 100_000, []),
    ],
)
def test_challenges_are_read_as_far_as_they_can_be(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges or header.startswith("aaa")
