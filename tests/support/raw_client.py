"""A client that sends bytes a test wrote, for what no well-behaved client sends; and a clock that a test moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ollama_engine.settings import HostAddress

SECONDS = 10.0
"""How long a test waits for what must come."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json()["error"]


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send, as far as the server still takes it."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await asyncio.wait_for(self.writer.drain(), SECONDS)

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer, whole; `to_head`: to a HEAD, which has no body whatever its length says."""
        async with asyncio.timeout(SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            status = int(head[0].split(" ")[1])
            if to_head or status in (204, 304):
                return Answer(status, headers)
            if headers.get("transfer-encoding") == "chunked":
                return Answer(status, headers, await self._chunks())
            return Answer(status, headers, await self.reader.readexactly(int(headers.get("content-length", 0))))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readuntil(b"\r\n")
        return body

    async def ended(self) -> bytes:
        """What still comes until the server closes the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), SECONDS)
        except ConnectionError:
            return b""

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def raw_client(address: HostAddress) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    client = RawClient(reader, writer)
    try:
        yield client
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(address: HostAddress, data: bytes) -> Answer:
    """The answer to `data` on a connection of its own."""
    async with raw_client(address) as client:
        await client.send(data)
        return await client.answer(to_head=data.startswith(b"HEAD "))


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A well-formed request, but for what `headers` and `path` make of it."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Clock:
    """The event loop's clock, which runs as ever and can be put forward."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._real = self.loop.time
        self._ahead = 0.0
        self.loop.time = lambda: self._real() + self._ahead  # pyright: ignore[reportAttributeAccessIssue]

    async def advance(self, seconds: float) -> None:
        """Put it forward, and let happen what was to happen by then."""
        self._ahead += seconds
        for _ in range(20):
            await asyncio.sleep(0)
