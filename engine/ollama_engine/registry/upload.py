"""One blob on its way to a registry: mounted, or sent in chunks that an interrupted upload goes on from (spec §7.3)."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator

import httpx
from msgspec import Struct

from ollama_engine.errors import StoreError
from ollama_engine.registry.bodies import error_text
from ollama_engine.registry.client import TRY_AGAIN, RegistryClient
from ollama_engine.registry.endpoint import Endpoint
from ollama_engine.registry.errors import AccessDenied, RegistryError, Transient, first_cause
from ollama_engine.registry.pace import Throttle, gave_up, pause
from ollama_engine.registry.progress import Track
from ollama_engine.store.blobs import BlobStore

READ = 1 << 20
MIN_CHUNK = 16 << 20
MAX_CHUNK = 1_000_000_000
CHUNKS = 16


class _Chunk(Struct, frozen=True):
    start: int
    end: int


class BlobUpload:
    """Sends one blob; `run` once. What the registry has got stays there when a connection breaks."""

    def __init__(
        self, client: RegistryClient, endpoint: Endpoint, blobs: BlobStore, track: Track, throttle: Throttle
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._blobs = blobs
        self._track = track
        self._throttle = throttle
        self._what = f"push {track.digest.short} to {endpoint.url.host}"
        self._size = min(max(-(-track.size // CHUNKS), MIN_CHUNK), MAX_CHUNK)

    async def run(self, mount_from: str = "") -> None:
        """Until the registry has the blob; `mount_from` is a repository there that may have it already.

        ServerUnreachable when nothing gets through in `attempts` tries; AccessDenied, RegistryError.
        """
        failures, location, sent = 0, None, 0
        while True:
            before = self._track.completed
            try:
                if location is None:
                    if await self._is_there():
                        break
                    location, sent = await self._begin(mount_from), 0
                    if location is None:
                        break  # mounted
                else:
                    location, sent = await self._position(location)
                if location is None:
                    raise Transient(f"{self._endpoint.url.host} has forgotten the upload")
                await self._send(location, sent)
                break
            except Transient as error:
                failures = 1 if self._track.completed > before else failures + 1
                if failures >= self._client.config.attempts:
                    raise gave_up(self._what, error) from error
                location = error.location if isinstance(error, _Interrupted) else location
                await asyncio.sleep(pause(failures, self._client.config.backoff, error.wait))
        self._track.finish()

    async def _is_there(self) -> bool:
        response = await self._request("HEAD", self._endpoint.blob(self._track.digest))
        await response.aclose()
        if response.status_code == 200:
            return True
        if response.status_code == 404:
            return False
        raise await self._client.refusal(self._endpoint, response, self._what)

    async def _begin(self, mount_from: str) -> httpx.URL | None:
        """Where to send the blob; None when the registry took it from another repository of its own."""
        url = self._endpoint.uploads
        if mount_from:
            url = url.copy_merge_params({"mount": str(self._track.digest), "from": mount_from})
        response = await self._request("POST", url, {"Content-Length": "0"})
        if response.status_code == 201:
            await response.aclose()
            return None
        if response.status_code != 202:
            raise await self._refusal(response)
        await response.aclose()
        return self._next(url, response)

    async def _position(self, location: httpx.URL) -> tuple[httpx.URL | None, int]:
        """Where a broken upload goes on: the URL, and how many bytes the registry has; None for a new start."""
        response = await self._request("GET", location)
        await response.aclose()
        if response.status_code not in (202, 204):
            return None, 0
        first, _, last = response.headers.get("range", "").removeprefix("bytes=").partition("-")
        if first != "0" or not last.isdigit():
            return None, 0
        got = int(last) + 1 if last != "0" else 0  # 0-0 is also what an upload without a byte says
        return self._next(location, response), min(got, self._track.size)

    async def _send(self, location: httpx.URL, sent: int) -> None:
        sums: list[bytes] = []
        try:
            async with asyncio.TaskGroup() as group:
                for start in range(sent, self._track.size, self._size):
                    chunk = _Chunk(start, min(start + self._size, self._track.size))
                    location = await self._send_chunk(location, chunk, group, sums)
        except BaseExceptionGroup as errors:
            cause = first_cause(errors)
            raise (_Interrupted(cause, location) if isinstance(cause, Transient) else cause) from errors
        await self._finish(location, sums)

    async def _send_chunk(
        self, location: httpx.URL, chunk: _Chunk, group: asyncio.TaskGroup, sums: list[bytes]
    ) -> httpx.URL:
        """Send a chunk to the registry, or where it says; the URL for the next one."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{chunk.start}-{chunk.end - 1}",
            "Content-Length": str(chunk.end - chunk.start),
            "X-Redirect-Uploads": "1",
        }
        response = await self._client.send(
            self._endpoint, "PATCH", location, headers, lambda: self._read(chunk, shown=True)
        )
        if response.status_code == 307:
            await response.aclose()
            target = await self._client.redirected(self._endpoint, location, response.headers.get("location", ""))
            sums.append(await asyncio.to_thread(self._md5, chunk))
            group.create_task(self._send_elsewhere(target, chunk))
            return self._next(location, response)
        if response.status_code not in (201, 202, 204):
            raise await self._refusal(response)
        await response.aclose()
        self._track.reach(chunk.end)
        return self._next(location, response)

    async def _send_elsewhere(self, url: httpx.URL, chunk: _Chunk) -> None:
        """Put a chunk into the storage behind the registry, which needs no credentials of ours."""
        headers = {"Content-Length": str(chunk.end - chunk.start)}
        for failures in range(1, self._client.config.attempts + 1):
            try:
                response = await self._client.put(url, headers, lambda: self._read(chunk, shown=False))
                if response.status_code in (200, 201, 204):
                    await response.aclose()
                    self._track.reach(self._track.completed + chunk.end - chunk.start)
                    return
                raise await self._refusal(response)
            except Transient as error:
                if failures == self._client.config.attempts:
                    raise gave_up(self._what, error) from error
                await asyncio.sleep(pause(failures, self._client.config.backoff, error.wait))

    async def _finish(self, location: httpx.URL, sums: list[bytes]) -> None:
        query = {"digest": str(self._track.digest)}
        if sums:
            query["etag"] = f"{hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": "0"}
        try:
            response = await self._request("PUT", location.copy_merge_params(query), headers)
            if response.status_code not in (200, 201, 204):
                raise await self._refusal(response)
        except Transient as error:
            raise _Interrupted(error, None) from error  # it may have arrived: look whether the blob is there
        await response.aclose()

    async def _request(self, method: str, url: httpx.URL, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self._client.send(self._endpoint, method, url, headers)

    async def _refusal(self, response: httpx.Response) -> Exception:
        """What an unexpected answer means. A registry that lost or doubts our bytes gets them again."""
        if response.status_code in (404, 416) or response.status_code in TRY_AGAIN:
            text = await error_text(response)
            return Transient(f"{response.url.host} answered {response.status_code} {text}".strip())
        if response.status_code in (401, 403):
            await response.aclose()
            return AccessDenied(
                f"{self._what}: access denied",
                hint="You are not authorized to push to this namespace: copy the model to a name under one you own.",
            )
        return await self._client.refusal(self._endpoint, response, self._what)

    def _next(self, here: httpx.URL, response: httpx.Response) -> httpx.URL:
        """The URL to go on with. Our credentials go there, so it must be the registry's own."""
        text = response.headers.get("docker-upload-location") or response.headers.get("location", "")
        try:
            url = here.join(text)
        except (httpx.InvalidURL, ValueError):
            url = here.copy_with(host="invalid")
        if not text or not self._client.is_own(self._endpoint, url):
            raise RegistryError(f"{self._endpoint.url.host} wants the upload sent to no URL of its own: {text[:80]!a}")
        return url

    async def _read(self, chunk: _Chunk, *, shown: bool) -> AsyncIterator[bytes]:
        position = chunk.start
        while position < chunk.end:
            data = await asyncio.to_thread(self._piece, position, min(READ, chunk.end - position))
            position += len(data)
            await self._throttle.take(len(data))
            yield data
            if shown and position < chunk.end:
                self._track.reach(position)

    def _piece(self, offset: int, length: int) -> bytes:
        with self._blobs.open(self._track.digest) as file:
            data = os.pread(file.fileno(), length, offset)
        if len(data) != length:
            raise StoreError(
                f"blob {self._track.digest.short} is shorter than its manifest says", hint="Pull it again."
            )
        return data

    def _md5(self, chunk: _Chunk) -> bytes:
        found = hashlib.md5(usedforsecurity=False)
        for offset in range(chunk.start, chunk.end, READ):
            found.update(self._piece(offset, min(READ, chunk.end - offset)))
        return found.digest()


class _Interrupted(Transient):
    """An upload broke off at `location`; None when only a look at the blob can tell how far it came."""

    def __init__(self, error: Transient, location: httpx.URL | None) -> None:
        super().__init__(error.reason, wait=error.wait)
        self.location = location
