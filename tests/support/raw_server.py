"""A server that sends bytes a test wrote, for what no well-behaved server sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ollama_engine.settings import HostAddress


class RawServer:
    """Answers every request with `answer` and hangs up; `requests` are the heads it saw.

    With `hold` set it keeps the connection open instead, and sets `gone` once the client has closed it.
    """

    def __init__(self, answer: bytes, *, hold: bool = False) -> None:
        self.answer = answer
        self.hold = hold
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self.requests: list[str] = []

    async def serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            self.asked.set()
            for line in head.splitlines():
                if line.lower().startswith("content-length:"):
                    await reader.readexactly(int(line.partition(":")[2]))
            writer.write(self.answer)
            await writer.drain()
            if self.hold:
                await reader.read()
                self.gone.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(answer: bytes, *, hold: bool = False) -> AsyncIterator[tuple[RawServer, HostAddress]]:
    raw = RawServer(answer, hold=hold)
    server = await asyncio.start_server(raw.serve_one, "127.0.0.1", 0)
    async with server:
        yield raw, HostAddress(port=server.sockets[0].getsockname()[1])


def http_answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer, ended by closing the connection where `body` may be cut short."""
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n".encode() + body
