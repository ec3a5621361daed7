"""HTTPS: a certificate of one's own, renewed while the server runs; what is wrong with one is named."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from ollama_engine.errors import InvalidRequest, ServerUnreachable
from ollama_engine.remote import RemoteEngine, answers
from ollama_engine.server.serve import serve
from ollama_engine.server.tls import Certificate
from ollama_engine.settings import HostAddress, Settings
from tests.support.certificates import Authority
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def settings(authority: Authority, tmp_path: Path) -> Settings:
    """One file with key and certificate."""
    authority.server("127.0.0.1", "localhost")
    return replace(Settings(), tls_cert=tmp_path / "127.0.0.1.pem")


def serial_number(address: HostAddress) -> int:
    return x509.load_pem_x509_certificate(
        ssl.get_server_certificate((address.host, address.port)).encode()
    ).serial_number


async def test_with_a_certificate_the_server_speaks_https_and_nothing_else(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_server(ScriptedEngine(), settings) as address:
        assert address.scheme == "https"
        with pytest.raises(ServerUnreachable, match="is not trusted") as untrusted:
            await answers(address)
        assert "SSL_CERT_FILE" in untrusted.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        assert await answers(address)
        async with RemoteEngine(address) as engine:
            assert await engine.version() == "1.2.3"
        assert not await answers(replace(address, scheme="http"))


async def test_a_renewed_certificate_is_used_after_a_hangup(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    async with live_server(ScriptedEngine(), settings) as address:
        old = await asyncio.to_thread(serial_number, address)
        authority.server("127.0.0.1", "localhost")
        assert await asyncio.to_thread(serial_number, address) == old
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while await asyncio.to_thread(serial_number, address) == old:
                pass


def test_a_certificate_that_cannot_be_used_leaves_the_old_one(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate.of(settings)
    assert certificate is not None
    assert settings.tls_cert is not None
    settings.tls_cert.write_text("no certificate")
    certificate.reload()
    assert "the old certificate stays in use" in caplog.text


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("absent.pem", None, "cannot read .*absent.pem"),
        ("text.pem", None, "cannot use the certificate .*text.pem"),
        ("127.0.0.1.pem", "other.pem", "cannot use the certificate .*127.0.0.1.pem with the key .*other.pem"),
        ("127.0.0.1.pem", "absent.key", "cannot read .*absent.key"),
        (None, "127.0.0.1.pem", "a TLS key without a certificate"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_named_before_anything_listens(
    authority: Authority, settings: Settings, tmp_path: Path, certificate: str | None, key: str | None, words: str
) -> None:
    authority.server("other")
    (tmp_path / "text.pem").write_text("text")
    wrong = replace(
        settings,
        host=HostAddress(port=0),
        tls_cert=tmp_path / certificate if certificate else None,
        tls_key=tmp_path / key if key else None,
    )
    engine = ScriptedEngine()
    with pytest.raises(InvalidRequest, match=words) as error:
        await serve(wrong, engine)
    assert error.value.hint
    assert engine.closed


async def test_a_client_without_tls_is_told_nothing_and_harms_nobody(
    authority: Authority, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    async with live_server(ScriptedEngine(), settings) as address:
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.HTTPError):
                await http.get(f"http://{address.host}:{address.port}/")
        assert await answers(address)
