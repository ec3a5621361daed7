"""Asking registries for newer models."""

from __future__ import annotations

import msgspec
import pytest

from ollama_engine.registry import HostConfig, Registry, RegistryConfig, Update
from ollama_engine.store import Config, Manifest, Store
from ollama_engine.store import manifest as media
from tests.engine.registry.conftest import MIB, Weights, name_at, pull
from tests.support.registry_proxy import Exchange, running_proxy
from tests.support.registry_server import RunningRegistry, upload


async def updates(store: Store, config: RegistryConfig) -> dict[str, Update]:
    async with Registry(store, config=config) as registry:
        return {update.name: update async for update in registry.updates(insecure=True)}


async def test_a_newer_manifest_is_seen_without_downloading(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    async with running_proxy(registry_server.host) as proxy:
        for repository in ("updates/old", "updates/same"):
            upload(registry_server.url, repository, "latest", [(media.MODEL, b"weights" * MIB)])
            await pull(store, config, name_at(proxy.host, repository))
        upload(registry_server.url, "updates/old", "latest", [(media.MODEL, b"better weights")])
        before = len(proxy.log)
        found = await updates(store, config)
        assert {seen.method for seen in proxy.log[before:]} == {"HEAD"}
        assert {update.name.split("/")[-1]: update.state for update in found.values()} == {
            "old:latest": "newer",
            "same:latest": "current",
        }
        assert found[name_at(proxy.host, "updates/old").display].remote


async def test_a_registry_whose_head_says_no_digest_is_asked_for_the_manifest(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(1000)

    async def forget(exchange: Exchange) -> None:
        async with exchange.reply() as reply:
            reply.headers.pop("docker-content-digest", None)
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                await exchange.send(chunk)

    async with running_proxy(registry_server.host, forget) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, config, name)
        assert (await updates(store, config))[name.display].state == "current"


async def test_a_model_made_here_is_absent_there_and_a_dead_registry_is_unknown(
    registry_server: RunningRegistry, store: Store, config: RegistryConfig, unused_tcp_port: int
) -> None:
    names = [name_at(registry_server.host, "made/here"), name_at(f"127.0.0.1:{unused_tcp_port}", "made/there")]
    for name in names:
        with store.creating() as creation:
            made = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config()))
            store.put_manifest(name, Manifest(config=made), creation)
    found = await updates(store, config)
    assert [found[name.display].state for name in names] == ["absent", "unknown"]
    assert "cannot connect" in found[names[1].display].reason


async def test_a_mirror_is_asked_instead_of_the_registry(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(5 * MIB)
    config = msgspec.structs.replace(config, hosts={"registry.test": HostConfig(mirror=registry_server.url)})
    name = name_at("registry.test", repository)
    async with Registry(store, config=config) as registry:
        assert [step.status async for step in registry.pull(name)][-1] == "success"
        assert [update.state async for update in registry.updates([name])] == ["current"]


def test_settings_come_from_a_table_of_the_configuration_file() -> None:
    table = {"connections": 3, "hosts": {"reg.lan:5000": {"insecure": True, "username": "ann", "realms": ["auth.lan"]}}}
    config = RegistryConfig.from_table(table)
    assert config.connections == 3
    assert config.host("REG.lan:5000") == HostConfig(insecure=True, username="ann", realms=("auth.lan",))
    for wrong in ({"connections": 0}, {"hosts": {"a": {"pasword": "x"}}}, {"stall": "long"}):
        with pytest.raises(Exception, match=r"bad \[registry\] settings in config.toml"):
            RegistryConfig.from_table(wrong)
