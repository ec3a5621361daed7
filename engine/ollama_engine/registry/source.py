"""Where a blob's bytes come from: the registry's blob URL, or the storage it redirects to (spec §7.2)."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from msgspec import Struct

from ollama_engine.registry.client import TRY_AGAIN, RegistryClient
from ollama_engine.registry.endpoint import Endpoint
from ollama_engine.registry.errors import RegistryError, Transient
from ollama_engine.store.digests import Digest

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


class RangesIgnored(Exception):
    """The server sends the whole file, whatever part of it is asked for."""


class Opened(Struct, frozen=True):
    """An answer whose body begins at the byte that was asked for. `end` is where it says that it ends.

    `encoded`: the body is compressed, read it with aiter_bytes. `source`: which version of the file it is of.
    """

    response: httpx.Response
    end: int
    encoded: bool
    source: int


class BlobSource:
    """Opens ranges of one blob. Remembers the direct URL behind the registry's redirect, and asks again for a
    new one when the direct URL is refused (signed URLs expire)."""

    def __init__(
        self, client: RegistryClient, endpoint: Endpoint, digest: Digest, size: int, url: httpx.URL | None = None
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._url = url or endpoint.blob(digest)
        self._direct: httpx.URL | None = None
        self.digest = digest
        self.size = size
        self.what = f"blob {digest.short}"
        """What it is called in errors."""
        self.lasting = True
        """Whether what came of it before today can be told from a part of something else."""

    @property
    def host(self) -> str:
        return self._endpoint.url.host

    @asynccontextmanager
    async def open(self, start: int, end: int) -> AsyncGenerator[Opened, None]:
        """The bytes [start, end) of the blob, or all of it.

        RangesIgnored where only the whole can be had; Transient; NotFound, AccessDenied, RegistryError.
        """
        partly = start > 0 or end < self.size
        response = await self._get(self._headers(start, end) if partly else {"Accept-Encoding": "identity"})
        try:
            yield await self._examine(response, start, end, partly)
        finally:
            await response.aclose()

    def _headers(self, start: int, end: int) -> dict[str, str]:
        return {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}

    async def _get(self, headers: dict[str, str]) -> httpx.Response:
        direct = self._direct
        if direct is not None:
            response = await self._client.get(direct, headers)
            if response.status_code in (200, 206) or response.status_code in TRY_AGAIN:
                return response
            await response.aclose()
            if self._direct is direct:
                self._direct = None
        response = await self._client.send(self._endpoint, "GET", self._url, headers)
        if response.status_code in (200, 206) and not self._client.is_own(self._endpoint, response.url):
            self._direct = response.url
        return response

    async def _examine(self, response: httpx.Response, start: int, end: int, partly: bool) -> Opened:
        encoded = response.headers.get("content-encoding", "identity").lower() not in ("", "identity")
        source = zlib.crc32(response.headers.get("etag", "").encode())
        if response.status_code == 200:
            if partly:
                raise RangesIgnored
            length = response.headers.get("content-length", "")
            if length.isdigit() and not encoded:
                self._check_size(int(length[:19]))
            return Opened(response, end, encoded, source)
        if response.status_code == 206 and partly:
            if encoded:
                raise RangesIgnored
            return Opened(response, self._content_range(response, start, end), encoded, source)
        if response.status_code == 416:
            raise RegistryError(
                f"{self.host} has fewer bytes of blob {self.digest.short} than the {self.size} of the manifest",
                hint="The model is broken at the registry.",
            )
        if response.status_code == 206:
            raise Transient(f"{response.url.host} sent a part of the file where the whole was asked for")
        raise await self._client.refusal(self._endpoint, response, f"pull {self.what}")

    def _content_range(self, response: httpx.Response, start: int, end: int) -> int:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
        if match is None:
            raise Transient(f"{response.url.host} sent a part of the file and did not say which")
        if match[3] != "*":
            self._check_size(int(match[3]))
        first, last = int(match[1]), int(match[2])
        if first != start or not start <= last < end:
            raise Transient(f"{response.url.host} sent bytes {first}-{last} where {start}-{end - 1} were asked for")
        return last + 1

    def _check_size(self, size: int) -> None:
        if size != self.size:
            raise RegistryError(
                f"blob {self.digest.short} has {size} bytes at {self.host}, its manifest says {self.size}",
                hint="The model is broken at the registry.",
            )
