"""A web server that hands out files as any does: ranges, validators, and what a test makes of them.

`files` maps paths to bytes and may change at any time. Every request is noted, with the bytes of body sent for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 64 << 10


@dataclass
class Asked:
    """One request; `sent` is how many bytes of body it got."""

    path: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0


@dataclass
class WebServer:
    """Serves `files` at `url`."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: bool = True
    ranges: bool = True
    if_range: bool = True
    """Whether it heeds If-Range, as not all do."""
    status: dict[str, int] = field(default_factory=dict)
    """Answers without a file: their body is what `files` has for the path."""
    hold_after: int | None = None
    """Bytes after which nothing more is sent until `released`."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    change_after: tuple[int, str, bytes] | None = None
    """After so many bytes sent, what the path has become."""
    url: str = ""
    log: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.partition("://")[2]

    @property
    def sent(self) -> int:
        return sum(asked.sent for asked in self.log)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                asked = Asked(lines[0].split(" ")[1], headers)
                self.log.append(asked)
                await self._answer(asked, writer)
                if headers.get("connection", "").lower() == "close":
                    break
        writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        path = asked.path.partition("?")[0]
        data = self.files.get(path, b"")
        asked.status = self.status.get(path, 200 if path in self.files else 404)
        extra: list[str] = []
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if asked.status == 200 and self.etags:
            extra.append(f"ETag: {etag}")
        fresh = not self.if_range or asked.headers.get("if-range", etag) == etag
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("range", ""))
        if match and self.ranges and fresh and asked.status == 200:
            start, end = int(match[1]), min(int(match[2]) + 1, len(data))
            extra.append(f"Content-Range: bytes {start}-{end - 1}/{len(data)}")
            asked.status, data = 206, data[start:end]
        head = [f"HTTP/1.1 {asked.status} Status", f"Content-Length: {len(data)}", *extra, "", ""]
        writer.write("\r\n".join(head).encode("latin-1"))
        for start in range(0, len(data), CHUNK):
            if self.hold_after is not None and self.sent >= self.hold_after:
                await self.released.wait()
            piece = data[start : start + CHUNK]
            asked.sent += len(piece)
            writer.write(piece)
            await writer.drain()
            if self.change_after and self.sent >= self.change_after[0]:
                _, changed, content = self.change_after
                self.files[changed], self.change_after = content, None


@asynccontextmanager
async def web_server(
    files: dict[str, bytes] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[WebServer, None]:
    web = WebServer(files or {})
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(web.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 18, ssl=tls)
    web.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield web
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
