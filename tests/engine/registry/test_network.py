"""Pulls through what lies between: proxies, and certificates of an authority that only this network knows."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from ollama_engine.errors import InvalidRequest, ServerUnreachable
from ollama_engine.registry import HostConfig, RegistryConfig
from ollama_engine.registry.client import open_http
from ollama_engine.store import Store, names
from ollama_engine.store import manifest as media
from tests.engine.registry.conftest import MIB, model_bytes
from tests.support.certificates import Authority
from tests.support.http_proxy import http_proxy
from tests.support.registry_server import digest_of, manifest_of
from tests.support.web_server import WebServer, web_server

DATA = random.Random(1).randbytes(5 * MIB)
LAYERS = [(media.MODEL, DATA)]
FILES = {
    "/v2/ann/model/manifests/latest": manifest_of(LAYERS),
    f"/v2/ann/model/blobs/{digest_of(DATA)}": DATA,
    f"/v2/ann/model/blobs/{digest_of(b'{}')}": b"{}",
}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def pull(store: Store, config: RegistryConfig, name: str, *, insecure: bool = False) -> None:
    """Pull a model of the web server's and compare it."""
    from ollama_engine.registry import Registry

    async with Registry(store, config=msgspec.structs.replace(config, attempts=2)) as registry:
        async for _ in registry.pull(names.parse(name), insecure=insecure):
            pass
    assert model_bytes(store, names.parse(name)) == DATA


def trusting(config: RegistryConfig, host: str, ca_file: Path) -> RegistryConfig:
    return msgspec.structs.replace(config, hosts={host: HostConfig(ca_file=str(ca_file))})


def port(web: WebServer) -> int:
    return int(web.host.rpartition(":")[2])


async def test_the_authority_in_the_settings_is_trusted(
    store: Store, config: RegistryConfig, authority: Authority
) -> None:
    async with web_server(dict(FILES), tls=authority.server("127.0.0.1")) as web:
        await pull(store, trusting(config, web.host, authority.ca_file), f"{web.host}/ann/model")


async def test_an_authority_that_nobody_named_is_not_trusted(
    store: Store, config: RegistryConfig, authority: Authority
) -> None:
    async with web_server(dict(FILES), tls=authority.server("127.0.0.1")) as web:
        with pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await pull(store, trusting(config, "other.test", authority.ca_file), f"{web.host}/ann/model")
        assert web.log == []


async def test_a_certificate_of_another_host_is_refused(
    store: Store, config: RegistryConfig, authority: Authority
) -> None:
    async with web_server(dict(FILES), tls=authority.server("registry.test")) as web:
        with pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await pull(store, trusting(config, web.host, authority.ca_file), f"{web.host}/ann/model")


def test_what_is_no_host_in_the_settings_is_named(config: RegistryConfig, authority: Authority) -> None:
    with pytest.raises(InvalidRequest, match=r"'a b:x' in \[registry\.hosts\] is no host"):
        open_http(trusting(config, "a b:x", authority.ca_file))


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_read_is_named(content: str | None, config: RegistryConfig, tmp_path: Path) -> None:
    path = tmp_path / "lan.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidRequest, match=r"cannot read the CA file .*lan\.pem"):
        open_http(trusting(config, "registry.test", path))


async def test_plain_http_goes_through_the_proxy(
    store: Store, config: RegistryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_server(dict(FILES)) as web, http_proxy({"registry.test:80": port(web)}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await pull(store, config, "http://registry.test/ann/model", insecure=True)
        assert proxy.log[0].startswith("GET http://registry.test/v2/ann/model/manifests/latest ")
        assert len(proxy.log) == len(web.log)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_https_goes_through_a_tunnel_and_its_certificate_is_checked_at_the_end(
    variable: str,
    scheme: str,
    store: Store,
    config: RegistryConfig,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = authority.server("registry.test")
    async with web_server(dict(FILES), tls=tls) as web, http_proxy({"registry.test:443": port(web)}) as proxy:
        monkeypatch.setenv(variable, scheme + proxy.url.removeprefix("http://"))
        with pytest.raises(ServerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await pull(store, config, "registry.test/ann/model")
        await pull(store, trusting(config, "registry.test", authority.ca_file), "registry.test/ann/model")
        assert set(proxy.log) == {"CONNECT registry.test:443 HTTP/1.1"}


async def test_a_host_in_no_proxy_is_asked_directly(
    store: Store, config: RegistryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_proxy({}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "registry.invalid")
        with pytest.raises(ServerUnreachable, match=r"cannot connect to registry\.invalid"):
            await pull(store, config, "http://registry.invalid/ann/model", insecure=True)
        assert proxy.log == []


@pytest.mark.parametrize("tls", [False, True])
async def test_this_machine_is_never_asked_through_a_proxy(
    tls: bool, store: Store, config: RegistryConfig, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        web_server(dict(FILES), tls=authority.server("127.0.0.1") if tls else None) as web,
        http_proxy({}) as proxy,
    ):
        for name in PROXIES[:3]:
            monkeypatch.setenv(name, proxy.url)
        trusted = trusting(config, web.host, authority.ca_file) if tls else config
        await pull(store, trusted, f"{web.host}/ann/model", insecure=not tls)
        assert proxy.log == []


async def test_a_proxy_that_refuses_is_told(
    store: Store, config: RegistryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ServerUnreachable, match="502"):
            await pull(store, config, "registry.test/ann/model")
        assert proxy.log


@pytest.mark.parametrize("proxy", ["gopher://proxy.test:1", "http://proxy.test:port"])
def test_a_proxy_that_cannot_be_used_is_an_error_that_names_the_variables(
    proxy: str, config: RegistryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InvalidRequest, match="cannot use the proxy of the environment") as error:
        open_http(config)
    assert "HTTPS_PROXY" in error.value.hint
