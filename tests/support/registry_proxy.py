"""A proxy between a client and a registry that does what networks and servers do to downloads.

Every request is noted (`log`), with the bytes of body that were sent for it. `fault` decides what happens to it:
an async function of the `Exchange`; without one everything is passed on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 64 << 10
Headers = dict[str, str]


@dataclass
class Seen:
    """One request: `start` and `end` are the bytes of its Range header, `sent` how many bytes of body it got."""

    method: str
    path: str
    headers: Headers
    start: int | None = None
    end: int | None = None
    status: int = 0
    sent: int = 0
    done: bool = False

    @property
    def is_blob(self) -> bool:
        return "/blobs/sha256:" in self.path


Fault = Callable[["Exchange"], Awaitable[None]]


class Dropped(Exception):
    """Close the connection here."""


@dataclass
class Reply:
    """The registry's answer; `body` yields it in chunks."""

    status: int
    headers: Headers
    body: AsyncIterator[bytes]

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.body])


class Exchange:
    """One request and what becomes of it."""

    def __init__(self, proxy: Proxy, seen: Seen, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.seen = seen
        self.body = body
        self._writer = writer

    async def forward(self) -> None:
        """Pass the request on, and the answer back."""
        async with self.reply() as reply:
            await self.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                await self.send(chunk)

    @asynccontextmanager
    async def reply(self, **headers: str) -> AsyncGenerator[Reply, None]:
        """The registry's answer to the request, with some of its headers replaced ("" leaves one out)."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**self.seen.headers, **changed}.items() if value}
        async with self.proxy.ask(self.seen.method, self.seen.path, sent, self.body) as reply:
            yield reply

    async def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answer without asking the registry."""
        await self.begin(status, {**(headers or {}), "content-length": str(len(body))})
        await self.send(body)

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.seen.status = status
        kept = {name: value for name, value in headers.items() if name not in ("connection", "transfer-encoding")}
        lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in kept.items())]
        self._writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        await self._writer.drain()

    async def send(self, chunk: bytes) -> None:
        self.seen.sent += len(chunk)
        self._writer.write(chunk)
        await self._writer.drain()

    async def drop(self) -> None:
        """Break the connection off."""
        raise Dropped


@dataclass
class Proxy:
    """Listens at `host`; `upstream` is `127.0.0.1:port` of the registry."""

    upstream: str
    fault: Fault | None = None
    host: str = ""
    log: list[Seen] = field(default_factory=list)

    @property
    def blobs(self) -> list[Seen]:
        """The requests for blobs' contents so far."""
        return [seen for seen in self.log if seen.is_blob and seen.method == "GET"]

    @property
    def sent(self) -> int:
        """Bytes of blobs sent so far."""
        return sum(seen.sent for seen in self.blobs)

    def is_large(self, seen: Seen) -> bool:
        """Whether a request is for the contents of a blob that has been asked for in parts."""
        return seen in self.blobs and any("range" in other.headers for other in self.blobs if other.path == seen.path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = None
        try:
            method, path, headers = await _head(reader)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            seen = Seen(method, path, headers)
            if match := re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", "")):
                seen.start, seen.end = int(match[1]), int(match[2]) + 1
            self.log.append(seen)
            exchange = Exchange(self, seen, body, writer)
            await (self.fault(exchange) if self.fault else exchange.forward())
        except Dropped:
            writer.transport.abort()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, as clients do
        finally:
            if seen is not None:
                seen.done = True
            writer.close()

    @asynccontextmanager
    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> AsyncGenerator[Reply, None]:
        """The registry's own answer to a request."""
        host, _, port = self.upstream.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            kept = {name: value for name, value in headers.items() if name not in ("connection", "transfer-encoding")}
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept.items())]
            writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1") + body)
            await writer.drain()
            _, status, answer = await _head(reader)
            length = 0 if method == "HEAD" else int(answer["content-length"]) if "content-length" in answer else None
            yield Reply(int(status.split()[0]), answer, _body(reader, length))
        finally:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, Headers]:
    """The first two words of the first line, and the headers in lower case."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    first, second, *_ = lines[0].split(" ", 2)
    pairs = (line.partition(":") for line in lines[1:] if line)
    return first, second, {name.lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, length: int | None) -> AsyncIterator[bytes]:
    while length is None or length > 0:
        chunk = await reader.read(CHUNK if length is None else min(CHUNK, length))
        if not chunk:
            return
        length = None if length is None else length - len(chunk)
        yield chunk


@asynccontextmanager
async def running_proxy(upstream: str, fault: Fault | None = None) -> AsyncGenerator[Proxy, None]:
    proxy = Proxy(upstream, fault)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 18)
    port = server.sockets[0].getsockname()[1]
    proxy.host = f"127.0.0.1:{port}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
