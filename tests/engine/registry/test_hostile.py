"""Registries that mean harm: what they send as a manifest, and what comes of it."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import EngineError, StoreError
from ollama_engine.registry import Registry, RegistryConfig, RegistryError
from ollama_engine.store import Store
from ollama_engine.store import manifest as media
from tests.engine.registry.conftest import name_at, pull
from tests.support.registry_proxy import Exchange, running_proxy
from tests.support.registry_server import digest_of, layer

GOOD = layer(b"weights")


def manifest(**changes: Any) -> bytes:
    config = layer(b"{}", media.CONFIG_TYPE)
    kept = {"schemaVersion": 2, "mediaType": media.MANIFEST_TYPE, "config": config, "layers": [GOOD], **changes}
    return json.dumps(kept).encode()


def sized(size: object) -> bytes:
    return manifest(layers=[{**GOOD, "size": size}])


def digested(digest: object) -> bytes:
    return manifest(layers=[{**GOOD, "digest": digest}])


MANY = manifest(layers=[{**GOOD, "digest": digest_of(b"%d" % number)} for number in range(100_000)])


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (digested("../../../../etc/passwd"), RegistryError, "invalid digest format"),
        (digested("sha256:../../../../etc/passwd"), RegistryError, "invalid digest format"),
        (digested("sha256:abc"), RegistryError, "invalid digest format"),
        (digested("sha256:" + "0" * 63 + "/"), RegistryError, "invalid digest format"),
        (digested(""), RegistryError, "invalid digest format"),
        (digested(7), RegistryError, "Expected `str`"),
        (sized(-1), RegistryError, "Expected `int` >= 0"),
        (sized(1 << 63), RegistryError, "Expected `int`|out of range"),
        (sized((1 << 63) - 1), StoreError, "not enough disk space: 9223372036854775"),
        (sized(1 << 50), StoreError, "not enough disk space"),
        (sized("7"), RegistryError, "Expected `int`"),
        (manifest(layers=[GOOD, {**GOOD, "size": 8}]), RegistryError, "two sizes, 7 and 8"),
        (MANY, RegistryError, "is larger than 4194304 bytes"),
        (b" " * (64 << 20), RegistryError, "is larger than 4194304 bytes"),
        (b"", RegistryError, "the manifest is empty"),
        (b"[" * 1_000_000, RegistryError, "the manifest is broken"),
        (b"<html>no registry</html>", RegistryError, "something else than a model's manifest"),
        (b"\xff\xfe", RegistryError, "the manifest is broken"),
        (manifest(layers=[{}]), RegistryError, "missing required field"),
        (manifest(layers={}), RegistryError, "Expected `array`"),
        (manifest(config=None), RegistryError, "missing required field"),
        (
            manifest(mediaType="application/vnd.docker.distribution.manifest.list.v2+json"),
            RegistryError,
            "which is not a model's",
        ),
        (manifest(layers=[{**GOOD, "mediaType": "application/vnd.docker.image.rootfs"}]), RegistryError, "not a model"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else None,
)
async def test_a_hostile_manifest_ends_in_one_error_and_writes_nothing(
    body: bytes, kind: type[EngineError], message: str, tmp_path: Path, config: RegistryConfig
) -> None:
    store = Store(tmp_path / "models")

    async def serve(exchange: Exchange) -> None:
        await exchange.answer(200, {"content-type": media.MANIFEST_TYPE}, body)

    async with running_proxy("127.0.0.1:1", serve) as proxy:
        with pytest.raises(kind, match=message):
            await pull(store, config, name_at(proxy.host, "evil/model"))
        assert proxy.blobs == []
    assert store.names() == []
    assert not store.blobs.folder.exists() or os.listdir(store.blobs.folder) == []
    assert sorted(os.listdir(tmp_path)) in (["models"], [])


async def test_a_manifest_without_end_is_given_up(store: Store, config: RegistryConfig) -> None:
    async def pour(exchange: Exchange) -> None:
        await exchange.begin(200, {})
        while True:
            await exchange.send(b" " * 65536)

    async with running_proxy("127.0.0.1:1", pour) as proxy:
        with pytest.raises(RegistryError, match="is larger than 4194304 bytes"):
            await pull(store, config, name_at(proxy.host, "evil/model"))
        assert proxy.log[0].sent < 64 << 20


async def test_a_manifest_that_is_a_compression_bomb_is_given_up(store: Store, config: RegistryConfig) -> None:
    async def bomb(exchange: Exchange) -> None:
        await exchange.answer(200, {"content-encoding": "gzip"}, gzip.compress(b" " * (256 << 20), 1))

    async with running_proxy("127.0.0.1:1", bomb) as proxy:
        with pytest.raises(RegistryError, match="is larger than 4194304 bytes"):
            await pull(store, config, name_at(proxy.host, "evil/model"))


async def test_a_manifest_that_is_not_what_its_digest_header_says_is_refused(
    store: Store, config: RegistryConfig
) -> None:
    async def lie(exchange: Exchange) -> None:
        await exchange.answer(200, {"docker-content-digest": digest_of(b"another")}, manifest())

    async with running_proxy("127.0.0.1:1", lie) as proxy:
        with pytest.raises(EngineError, match="the manifest is not what its digest says"):
            await pull(store, config, name_at(proxy.host, "evil/model"))


async def test_an_error_without_end_is_cut_and_shown_on_one_line(store: Store, config: RegistryConfig) -> None:
    async def rant(exchange: Exchange) -> None:
        await exchange.begin(400, {})
        while True:
            await exchange.send(b"bad\x1b]0;title\x07\n" * 1000)

    async with running_proxy("127.0.0.1:1", rant) as proxy, Registry(store, config=config) as registry:
        steps = registry.pull(name_at(proxy.host, "evil/model"), insecure=True)
        await anext(steps)
        with pytest.raises(RegistryError) as caught:
            await anext(steps)
    assert str(caught.value).startswith("pull model manifest: 400: bad")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
