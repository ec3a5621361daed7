"""Where the bytes of a link come from: a web server that says neither a digest nor a manifest.

What stands in for the digest until all bytes are there is the `Version`: size and validator (a strong ETag, else
Last-Modified) as the server gave them first. Every range is asked for with If-Range and its answer compared, so that
ranges of two versions never come together in one file (RFC 9110 §13.1.5, §14).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from msgspec import Struct

from ollama_engine.errors import InvalidGGUF
from ollama_engine.registry.client import RegistryClient, transport_reason
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.endpoint import Endpoint
from ollama_engine.registry.errors import RegistryError, SourceChanged, Transient
from ollama_engine.registry.links import file_name, locate_file
from ollama_engine.registry.pace import persist
from ollama_engine.registry.source import BlobSource, Opened, RangesIgnored
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest

MAGIC = b"GGUF"
PROBE = 64
"""Bytes asked for to see what a link leads to."""
MAX_SIZE = 1 << 46
_TOTAL = re.compile(r"bytes 0-\d{1,19}/(\d{1,15})")


class Version(Struct, frozen=True):
    """What tells one content of a link from another."""

    size: int
    etag: str = ""
    modified: str = ""

    @property
    def validator(self) -> str:
        """For If-Range: never a weak ETag, which does not promise equal bytes. Empty where there is none."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def id(self, url: str) -> Digest:
        """Names the partial of this version of the link. It is no digest of the file."""
        path = url.partition("?")[0]  # a signature behind the ? is new every time
        return digests.of_bytes(f"link\n{path}\n{self.size}\n{self.validator}".encode())


class WebFile(Struct, frozen=True):
    """A link that was looked at."""

    name: str
    url: str
    endpoint: Endpoint
    location: httpx.URL
    version: Version

    @property
    def id(self) -> Digest:
        return self.version.id(self.url)


class WebSource(BlobSource):
    """Opens ranges of one version of a web file; SourceChanged once the server has another."""

    def __init__(self, client: RegistryClient, file: WebFile) -> None:
        super().__init__(client, file.endpoint, file.id, file.version.size, file.location)
        self._version = file.version
        self.what = file.name
        self.lasting = bool(file.version.validator)

    @asynccontextmanager
    async def open(self, start: int, end: int) -> AsyncGenerator[Opened, None]:
        """As a blob's, but only as a whole where nothing would tell ranges of two versions apart."""
        if not self.lasting and end - start < self.size:
            raise RangesIgnored
        async with super().open(start, end) as opened:
            yield opened

    def _headers(self, start: int, end: int) -> dict[str, str]:
        headers = super()._headers(start, end)
        return {**headers, "If-Range": self._version.validator} if self._version.validator else headers

    async def _examine(self, response: httpx.Response, start: int, end: int, partly: bool) -> Opened:
        if response.status_code == 416:
            raise self._changed()
        if response.status_code in (200, 206):
            now = _version(response, self.size)
            if now.validator != self._version.validator:
                raise self._changed()
        return await super()._examine(response, start, end, partly)

    def _check_size(self, size: int) -> None:
        if size != self.size:
            raise self._changed()

    def _changed(self) -> SourceChanged:
        return SourceChanged(
            f"{self.what} changes at {self.host} while it is downloaded",
            hint="Try again when it stays as it is.",
        )


async def look(client: RegistryClient, config: RegistryConfig, url: str, *, insecure: bool = False) -> WebFile:
    """What a link leads to, seen from its first bytes.

    InvalidGGUF where it is no GGUF file; NotFound, AccessDenied, RegistryError, ServerUnreachable.
    """
    endpoint, location = locate_file(url, config, insecure=insecure)
    name = file_name(url)

    async def attempt() -> WebFile:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes=0-{PROBE - 1}"}
        response = await client.send(endpoint, "GET", location, headers)
        if response.status_code not in (200, 206):
            raise await client.refusal(endpoint, response, f"pull {name}")
        try:
            version = _version(response, _size(response, name))
            _check_magic(await _beginning(response), name, endpoint)
        finally:
            await response.aclose()
        return WebFile(name, url, endpoint, location, version)

    return await persist(attempt, config, f"pull {name} from {endpoint.url.host}", connects=3)


def _version(response: httpx.Response, size: int) -> Version:
    return Version(size, response.headers.get("etag", "").strip(), response.headers.get("last-modified", "").strip())


def _size(response: httpx.Response, name: str) -> int:
    encoded = response.headers.get("content-encoding", "identity").lower() not in ("", "identity")
    if response.status_code == 206:
        match = _TOTAL.fullmatch(response.headers.get("content-range", "").strip())
        text = match[1] if match else ""
    else:
        text = response.headers.get("content-length", "")
    if encoded or not text.isdigit() or not 0 < int(text[:19]) <= MAX_SIZE:
        raise RegistryError(
            f"{response.url.host} does not say how long {name} is",
            hint="Download the file another way, and name the model with: ollama-tui create NAME.",
        )
    return int(text)


async def _beginning(response: httpx.Response) -> bytes:
    body = b""
    try:
        async for chunk in response.aiter_raw():
            body += chunk[:PROBE]
            if len(body) >= len(MAGIC):
                break
    except httpx.TransportError as error:
        raise Transient(transport_reason(response.url, error)) from error
    return body


def _check_magic(body: bytes, name: str, endpoint: Endpoint) -> None:
    if body[:4] == MAGIC:
        return
    seen = "a web page" if body.lstrip()[:1] == b"<" else f"{body[:4]!a}"
    raise InvalidGGUF(
        f"{name} at {endpoint.url.host} is not a GGUF file: it begins with {seen}",
        hint="Take the link that downloads the file, not that of a page about it.",
    )
