"""Pushing to the CNCF registry, and pulling back what it got."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import httpx
import msgspec
import pytest

from ollama_engine.errors import ModelNotFound, ServerUnreachable, StoreError
from ollama_engine.registry import (
    AccessDenied,
    HostConfig,
    PushProgress,
    Registry,
    RegistryConfig,
    RegistryError,
    upload,
)
from ollama_engine.store import Config, Manifest, ModelName, Store
from ollama_engine.store import manifest as media
from tests.engine.registry.conftest import MIB, model_bytes, name_at, pull
from tests.engine.registry.test_auth import TokenGate, private_server
from tests.support.registry_proxy import Exchange, Fault, running_proxy
from tests.support.registry_server import PASSWORD, USER, RunningRegistry

SIZE = 9 * MIB + 11

__all__ = ["private_server"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "MIN_CHUNK", 2 * MIB)


@pytest.fixture
def data() -> bytes:
    return os.urandom(SIZE)


def make(store: Store, name: ModelName, data: bytes, *, parent: str = "") -> None:
    """A model in the store whose weights say that they came from `parent`."""
    with store.creating() as creation:
        weights = msgspec.structs.replace(store.add_layer(media.MODEL, data), from_=parent)
        config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_format="gguf")))
        layers = [weights, store.add_layer(media.SYSTEM, b"Be brief.")]
        store.put_manifest(name, Manifest(config=config, layers=layers), creation)


async def push(store: Store, config: RegistryConfig, name: ModelName) -> list[PushProgress]:
    async with Registry(store, config=config) as registry:
        return [step async for step in registry.push(name, insecure=True)]


async def test_what_is_pushed_can_be_pulled_byte_for_byte(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes, tmp_path: Path
) -> None:
    name = name_at(registry_server.host, "pushed/whole", "v2")
    make(store, name, data)
    steps = await push(store, config, name)
    other = Store(tmp_path / "other")
    await pull(other, config, name)
    assert model_bytes(other, name) == data
    assert other.resolve(name).digest == store.resolve(name).digest
    said = list(dict.fromkeys(step.status for step in steps))
    assert said[0] == "retrieving manifest"
    assert said[-2:] == ["pushing manifest", "success"]
    mine = [step.completed for step in steps if step.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"]
    assert mine == sorted(mine)
    assert mine[-1] == SIZE


async def test_a_second_push_sends_no_blob(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, "pushed/twice")
        make(store, name, data)
        await push(store, config, name)
        before = len(proxy.log)
        await push(store, config, name)
        assert {seen.method for seen in proxy.log[before:]} == {"HEAD", "PUT"}


async def test_a_layer_of_another_model_there_is_mounted_and_not_sent(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    async with running_proxy(registry_server.host) as proxy:
        parent = name_at(proxy.host, "pushed/parent")
        make(store, parent, data)
        await push(store, config, parent)
        before = len(proxy.log)
        child = name_at(proxy.host, "pushed/child")
        make(store, child, data, parent=parent.full)
        await push(store, config, child)
        sent = sum(int(seen.headers.get("content-length", 0)) for seen in proxy.log[before:])
        assert sent < MIB
        assert any("mount=sha256" in seen.path and "from=pushed%2Fparent" in seen.path for seen in proxy.log[before:])
    assert await held_by(registry_server, child, data) == data


async def held_by(server: RunningRegistry, name: ModelName, data: bytes) -> bytes:
    """What the registry itself has under the digest of `data` in the repository of that model."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"{server.url}/v2/{name.namespace}/{name.model}/blobs/{digest}")).content


def breaking(method: str, times: int, after: bool) -> Fault:
    """Drop the connection at the first requests of that method, before or after the registry got it."""

    async def apply(exchange: Exchange) -> None:
        same = [seen for seen in exchange.proxy.log if seen.method == method]
        if exchange.seen.method == method and len(same) <= times:
            if after:
                async with exchange.reply() as reply:
                    await reply.read()
            await exchange.drop()
        await exchange.forward()

    return apply


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
@pytest.mark.parametrize("after", [False, True])
async def test_a_push_goes_on_when_connections_break_at(
    method: str, after: bool, registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    async with running_proxy(registry_server.host, breaking(method, 3, after)) as proxy:
        name = name_at(proxy.host, f"pushed/broken{random.randrange(10**9)}")
        make(store, name, data)
        await push(store, config, name)
    assert await held_by(registry_server, name, data) == data


async def test_chunks_that_arrived_are_not_sent_again(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    async def break_third(exchange: Exchange) -> None:
        chunks = [seen for seen in exchange.proxy.log if seen.method == "PATCH" and "2097152" in str(seen.headers)]
        if exchange.seen.method == "PATCH" and len(chunks) == 3 and exchange.seen is chunks[-1]:
            await exchange.drop()
        await exchange.forward()

    async with running_proxy(registry_server.host, break_third) as proxy:
        name = name_at(proxy.host, "pushed/resumed")
        make(store, name, data)
        await push(store, config, name)
        sent = sum(int(seen.headers["content-length"]) for seen in proxy.log if seen.method == "PATCH")
        assert sent < SIZE + 3 * MIB
        assert sum(seen.method == "POST" for seen in proxy.log) == 3  # one for each blob, none anew


async def test_chunks_go_where_the_registry_redirects_them_and_credentials_do_not(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    """As Ollama's registry does with its storage: 307 for each PATCH, parts put there, an ETag of all at the end."""
    parts: dict[str, bytes] = {}
    finished: list[str] = []

    async def keep(exchange: Exchange) -> None:
        parts[exchange.seen.path] = exchange.body
        assert "authorization" not in exchange.seen.headers
        await exchange.answer(200)

    async with running_proxy("127.0.0.1:1", keep) as storage:

        async def redirect(exchange: Exchange) -> None:
            method, path = exchange.seen.method, exchange.seen.path
            assert exchange.seen.headers["authorization"] == "Bearer mine"
            if method == "HEAD":
                await exchange.answer(404)
            elif method == "POST":
                await exchange.answer(202, {"location": "/upload/1"})
            elif method == "PATCH":
                where = {
                    "docker-upload-location": "/upload/1",
                    "location": f"http://{storage.host}/{len(exchange.body)}",
                }
                where["location"] += "/" + exchange.seen.headers["content-range"]
                await exchange.answer(307, where)
            else:
                finished.append(path)
                await exchange.answer(201)

        async with running_proxy(registry_server.host, redirect) as proxy:
            name = name_at(proxy.host, "pushed/elsewhere")
            make(store, name, data)
            config = msgspec.structs.replace(config, hosts={proxy.host: HostConfig(token="mine")})
            await push(store, config, name)
    chunks = [data[start : start + 2 * MIB] for start in range(0, SIZE, 2 * MIB)]
    assert set(chunks) <= set(parts.values())
    sums = b"".join(hashlib.md5(chunk).digest() for chunk in chunks)
    assert any(f"etag={hashlib.md5(sums).hexdigest()}-5" in path for path in finished)


async def test_an_upload_is_not_sent_to_another_host(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async def lure(exchange: Exchange) -> None:
        if exchange.seen.method == "POST":
            await exchange.answer(202, {"location": "http://127.0.0.2:1/upload"})
        else:
            await exchange.answer(404)

    async with running_proxy(registry_server.host, lure) as proxy:
        name = name_at(proxy.host, "pushed/lured")
        make(store, name, b"weights")
        with pytest.raises(RegistryError, match="wants the upload sent to no URL of its own"):
            await push(store, config, name)


async def test_pushing_needs_the_password(
    private_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    name = name_at(private_server.host, "pushed/secret")
    make(store, name, b"weights")
    with pytest.raises(AccessDenied):
        await push(store, config, name)
    settings = HostConfig(username=USER, password=PASSWORD)
    config = msgspec.structs.replace(config, hosts={private_server.host: settings})
    assert (await push(store, config, name))[-1].status == "success"


async def test_a_push_identifies_itself_with_a_token(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, data: bytes
) -> None:
    gate = TokenGate()
    async with running_proxy(registry_server.host, gate) as proxy:
        name = name_at(proxy.host, "pushed/signed")
        make(store, name, data)
        assert (await push(store, config, name))[-1].status == "success"


async def test_a_push_that_is_refused_says_so(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer(403 if exchange.seen.method == "POST" else 404)

    async with running_proxy(registry_server.host, refuse) as proxy:
        name = name_at(proxy.host, "somebody/else")
        make(store, name, b"weights")
        with pytest.raises(AccessDenied, match="access denied") as caught:
            await push(store, config, name)
    assert "under one you own" in caught.value.hint


async def test_what_is_not_there_cannot_be_pushed(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    with pytest.raises(ModelNotFound):
        await push(store, config, name_at(registry_server.host, "pushed/nothing"))
    name = name_at(registry_server.host, "pushed/hollow")
    make(store, name, b"weights")
    store.blobs.path(f"sha256:{hashlib.sha256(b'weights').hexdigest()}").write_bytes(b"")
    with pytest.raises(StoreError, match="is missing or has the wrong size"):
        await push(store, config, name)


async def test_a_registry_that_always_breaks_off_is_unreachable(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async with running_proxy(registry_server.host, breaking("PATCH", 1000, after=False)) as proxy:
        name = name_at(proxy.host, "pushed/never")
        make(store, name, b"weights")
        with pytest.raises(ServerUnreachable, match=r"cannot push \w{12} to"):
            await push(store, config, name)
