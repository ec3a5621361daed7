"""Pulling from the CNCF registry."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest, NotFound, ServerUnreachable
from ollama_engine.registry import Registry, RegistryConfig
from ollama_engine.store import Store, names
from ollama_engine.store import manifest as media
from tests.engine.registry.conftest import MIB, Weights, model_bytes, name_at, pull
from tests.support.registry_proxy import running_proxy
from tests.support.registry_server import RunningRegistry, upload


async def test_a_model_comes_byte_for_byte_with_the_manifest_as_it_was_sent(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    data = os.urandom(9 * MIB + 17)
    sent = upload(registry_server.url, "tests/whole", "v1", [(media.MODEL, data), (media.LICENSE, b"free")])
    name = name_at(registry_server.host, "tests/whole", "v1")
    await pull(store, config, name)
    assert model_bytes(store, name) == data
    assert store.resolve(name).digest == hashlib.sha256(sent).hexdigest()
    assert store.blobs.read(store.resolve(name).manifest.layers[1].digest) == b"free"


async def test_a_pull_speaks_ollamas_words_in_ollamas_order(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(6 * MIB)
    steps = await pull(store, config, name_at(registry_server.host, repository))
    digest = hashlib.sha256(data).hexdigest()
    said = list(dict.fromkeys(step.status for step in steps))
    assert said[0] == "pulling manifest"
    assert f"pulling {digest[:12]}" in said[1:4]
    assert said[4:] == ["verifying sha256 digest", "writing manifest", "success"]
    mine = [step for step in steps if step.digest == f"sha256:{digest}"]
    assert {step.total for step in mine} == {len(data)}
    completed = [step.completed for step in mine]
    assert completed == sorted(completed)
    assert completed[-1] == len(data)


async def test_nothing_but_the_blob_is_left_of_a_download(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(5 * MIB)
    await pull(store, config, name_at(registry_server.host, repository))
    assert [name for name in os.listdir(store.blobs.folder) if len(name) != len("sha256-") + 64] == []


async def test_a_second_pull_fetches_no_blob(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(5 * MIB)
    async with running_proxy(registry_server.host) as proxy:
        await pull(store, config, name_at(proxy.host, repository))
        fetched = proxy.sent
        steps = await pull(store, config, name_at(proxy.host, repository))
    assert fetched >= len(data)
    assert proxy.sent == fetched
    assert "verifying sha256 digest" not in {step.status for step in steps}
    assert all(step.completed == step.total for step in steps if step.digest)


async def test_a_blob_of_the_wrong_size_is_not_trusted(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(2 * MIB)
    name = name_at(registry_server.host, repository)
    await pull(store, config, name)
    path = store.blobs.path(f"sha256:{hashlib.sha256(data).hexdigest()}")
    path.write_bytes(data[:1000])
    await pull(store, config, name)
    assert path.read_bytes() == data


async def test_a_new_version_replaces_the_old_and_its_layers(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    name = name_at(registry_server.host, "tests/renewed")
    for text in (b"old weights", b"new weights"):
        upload(registry_server.url, "tests/renewed", "latest", [(media.MODEL, text)])
        steps = await pull(store, config, name)
    assert steps[-2].status == "removing unused layers"
    assert model_bytes(store, name) == b"new weights"
    assert not store.blobs.exists(f"sha256:{hashlib.sha256(b'old weights').hexdigest()}")


async def test_an_empty_layer_and_a_layer_named_twice_are_pulled_once(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    layers = [(media.MODEL, b"weights"), (media.LICENSE, b"free"), (media.LICENSE, b"free"), (media.SYSTEM, b"")]
    upload(registry_server.url, "tests/odd", "latest", layers)
    name = name_at(registry_server.host, "tests/odd")
    await pull(store, config, name)
    assert [layer.size for layer in store.resolve(name).manifest.layers] == [7, 4, 4, 0]


async def test_a_model_that_the_registry_has_not_is_not_found(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    with pytest.raises(NotFound, match="pull model manifest: file does not exist"):
        await pull(store, config, name_at(registry_server.host, "tests/nowhere"))


async def test_plain_http_must_be_asked_for(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    name = names.parse(f"http://{registry_server.host}/tests/whole")
    async with Registry(store, config=config) as registry:
        with pytest.raises(InvalidRequest, match="insecure protocol http"):
            await anext(registry.pull(name))


async def test_a_registry_that_is_not_there_is_unreachable(
    store: Store, config: RegistryConfig, unused_tcp_port: int
) -> None:
    with pytest.raises(ServerUnreachable, match=r"cannot connect to 127\.0\.0\.1"):
        await pull(store, config, name_at(f"127.0.0.1:{unused_tcp_port}", "tests/whole"))


async def test_proxies_of_the_environment_are_not_asked_for_this_machine(
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    repository, data = weights(MIB)
    name = name_at(registry_server.host, repository)
    await pull(store, config, name)
    assert model_bytes(store, name) == data
