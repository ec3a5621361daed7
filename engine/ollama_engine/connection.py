"""One HTTP connection to a server that speaks Ollama's API: requests out; JSON, lines and errors back.

`RemoteEngine` (remote.py) puts the verbs on top.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
import msgspec

from ollama_engine import terminal_pass
from ollama_engine.errors import (
    Busy,
    DigestMismatch,
    EngineError,
    InvalidDigest,
    InvalidRequest,
    ModelNotFound,
    ServerUnreachable,
    from_status,
)
from ollama_engine.settings import HostAddress
from ollama_engine.types import encode_json

CONNECT_SECONDS = 10.0
QUICK_SECONDS = 30.0
"""How long a question that needs no model may take to be answered. A load may take as long as it takes."""

MAX_LINE = 64 * 1024 * 1024
"""Bytes of one streamed object, and of one answer that is not streamed."""

_MAX_ERROR = 64 * 1024
_JSON = {"Content-Type": "application/json"}


class Connection:
    """Requests to one server. Every failure is an EngineError."""

    def __init__(self, host: HostAddress, api_key: str | None) -> None:
        self.host = host.client
        self._http = _client(self.host, api_key)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, body: Any = None, *, model: str = "", quick: bool = True
    ) -> dict[str, Any]:
        """One request, one JSON object; an empty answer is an empty object."""
        content = None if body is None else encode_json(body)
        async with self.response(method, path, content=content, headers=_JSON, quick=quick) as response:
            if response.status_code >= 300:
                raise await self.error(response, model=model)
            answer = await _bounded(response, MAX_LINE)
            if answer is None:
                raise self.not_ollama("an answer without end")
            return self._object(answer) if answer else {}

    async def lines(self, path: str, body: msgspec.Struct, *, model: str = "") -> AsyncGenerator[dict[str, Any], None]:
        """The objects of a streamed answer. Closing the generator closes the connection."""
        async with self.response("POST", path, content=encode_json(body), headers=_JSON) as response:
            if response.status_code >= 300:
                raise await self.error(response, model=model)
            async with aclosing(self._split(response)) as lines:
                async for line in lines:
                    answer = self._object(line)
                    if "error" in answer:
                        raise _from_answer(500, answer, model=model)
                    yield answer

    async def _split(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """Lines as bytes: httpx splits text at characters, such as U+0085, that stand unescaped inside JSON."""
        rest = bytearray()
        async for piece in response.aiter_bytes():
            rest += piece
            if b"\n" in piece:
                *lines, tail = bytes(rest).split(b"\n")
                rest = bytearray(tail)
                for line in lines:
                    if line.strip():
                        yield line
            if len(rest) > MAX_LINE:
                raise self.not_ollama("a line without end")
        if rest.strip():
            yield bytes(rest)

    @asynccontextmanager
    async def response(
        self,
        method: str,
        path: str,
        *,
        content: bytes | AsyncIterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
        quick: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to be read; failures of the connection are EngineErrors."""
        timeout = httpx.Timeout(QUICK_SECONDS if quick else None, connect=CONNECT_SECONDS)
        started = False
        try:
            stream = self._http.stream(method, path, content=content, headers=headers, timeout=timeout)
            async with stream as response:
                started = True
                yield response
        except httpx.ReadTimeout as error:
            raise ServerUnreachable(
                f"the server at {self.host.url} did not answer within {QUICK_SECONDS:.0f} s",
                hint="Look whether it is overloaded, or start it anew.",
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self.broken_off() if started else self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        if _is_untrusted(error):
            return _untrusted(self.host)
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return ServerUnreachable(
                f"{self.host.url} is not an address of a server", hint="Correct OLLAMA_HOST or --host."
            )
        return ServerUnreachable(
            f"could not connect to a server at {self.host.url}", hint="run 'ollama-tui serve' to start one"
        )

    def broken_off(self) -> EngineError:
        return EngineError(
            f"the server at {self.host.url} ended its answer before it was complete",
            hint="Look whether it is still running, and ask again.",
        )

    def not_ollama(self, what: str) -> EngineError:
        return EngineError(
            f"the server at {self.host.url} sent {what}",
            hint="Look whether an Ollama-compatible server listens there.",
        )

    async def error(self, response: httpx.Response, *, model: str = "", digest: bool = False) -> EngineError:
        """The error that a refusal stands for."""
        text = (await _bounded(response, _MAX_ERROR) or b"").decode("utf-8", errors="replace").strip()
        answer: Any = None
        with suppress(msgspec.DecodeError, RecursionError):
            answer = msgspec.json.decode(text)
        if not isinstance(answer, dict) or not answer.get("error"):
            first_line = text.splitlines()[0][:200] if text else response.reason_phrase
            answer = {"error": f"the server at {self.host.url} answered {response.status_code}: {first_line}"}
            model = ""
        if response.status_code == 503:
            message, hint = _words(answer)
            return Busy(message, hint=hint, retry_after=_retry_after(response))
        return _from_answer(response.status_code, answer, model=model, digest=digest)

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self.not_ollama("an answer that is not JSON") from error
        if not isinstance(value, dict):
            raise self.not_ollama("an answer that is not a JSON object")
        return value


async def answers(host: HostAddress, api_key: str | None = None, timeout: float = 5.0) -> bool:
    """Whether a server that speaks Ollama's API answers at `host` within `timeout` seconds; one that asks for a key, or
    for another one, does, too.

    Raises:
        ServerUnreachable: its certificate is not trusted. It is there, and no other is meant.
        InvalidRequest: `api_key` cannot be one.
    """
    try:
        async with asyncio.timeout(timeout), _client(host.client, api_key) as client:
            root = await client.head("/")
            if root.status_code >= 500:
                return False
            response = await client.get("/api/version")
            if response.status_code in (401, 403) and root.status_code < 400:
                return True
            value = msgspec.json.decode(response.content) if response.status_code == 200 else None
    except httpx.ConnectError as error:
        if _is_untrusted(error):
            raise _untrusted(host.client) from error
        return False
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("version"), str)


def _client(host: HostAddress, api_key: str | None) -> httpx.AsyncClient:
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise InvalidRequest("OLLAMA_API_KEY is no key", hint="A key is letters, digits and signs on one line.")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    if _is_loopback(host.host) and (shown := terminal_pass.read(host.port)):
        headers[terminal_pass.HEADER] = shown
    return httpx.AsyncClient(
        base_url=host.url,
        headers=headers,
        # The key is for this host: where it sends us elsewhere we do not go.
        follow_redirects=False,
        timeout=httpx.Timeout(QUICK_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=8),
        # A proxy cannot reach this machine's own loopback address.
        trust_env=not _is_loopback(host.host),
        verify=_verification(host),
    )


def _verification(host: HostAddress) -> ssl.SSLContext | bool:
    """The authorities to trust: those of SSL_CERT_FILE also on loopback, where httpx looks at no variable."""
    file = os.environ.get("SSL_CERT_FILE", "") if host.scheme == "https" else ""
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(f"cannot read SSL_CERT_FILE {file}: {error}", hint="Correct the variable.") from error


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _untrusted(host: HostAddress) -> ServerUnreachable:
    return ServerUnreachable(
        f"the certificate of the server at {host.url} is not trusted",
        hint="SSL_CERT_FILE names a file of authorities to trust, or the server's certificate itself.",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")


async def _bounded(response: httpx.Response, limit: int) -> bytes | None:
    """The whole body; None where it is larger than `limit`."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > limit:
            return None
    return bytes(body)


def _words(answer: dict[str, Any]) -> tuple[str, str]:
    error = answer.get("error")
    message = error.get("message", "") if isinstance(error, dict) else error
    return str(message), str(answer.get("hint") or "")


def _from_answer(status: int, answer: dict[str, Any], *, model: str = "", digest: bool = False) -> EngineError:
    message, hint = _words(answer)
    if status == 404 and model:
        return ModelNotFound(model, message, hint=hint)
    if status == 400 and digest:
        kind = DigestMismatch if "mismatch" in message else InvalidDigest
        return kind(message, hint=hint)
    return from_status(status, message, hint=hint)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 1.0
