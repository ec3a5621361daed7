"""An HTTP proxy as companies have them: CONNECT for https, absolute URLs for http. It alone knows where hosts are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

CHUNK = 64 << 10


class HttpProxy:
    """Leads to the loopback port that `hosts` gives for a `host:port`; `log` has the first line of every request."""

    def __init__(self, hosts: Mapping[str, int]) -> None:
        self.hosts = hosts
        self.log: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.decode("latin-1").partition("\r\n")
            self.log.append(line)
            method, target, version = line.split(" ")
            place, slash, path = target.removeprefix("http://").partition("/")
            port = self.hosts.get(place if ":" in place else f"{place}:80")
            if port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
            else:
                there, to_there = await asyncio.open_connection("127.0.0.1", port)
                if method == "CONNECT":
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:  # one request a connection
                    kept = "\r\n".join(
                        each for each in rest.split("\r\n") if not each.lower().startswith("connection:")
                    )
                    to_there.write(f"{method} {slash}{path} {version}\r\nConnection: close\r\n{kept}".encode("latin-1"))
                await _both(reader, writer, there, to_there)
        writer.close()


async def _both(
    here: asyncio.StreamReader,
    to_here: asyncio.StreamWriter,
    there: asyncio.StreamReader,
    to_there: asyncio.StreamWriter,
) -> None:
    forth = asyncio.create_task(_copy(here, to_there))
    back = asyncio.create_task(_copy(there, to_here))
    try:
        await asyncio.wait([forth, back], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (forth, back):
            task.cancel()
        await asyncio.gather(forth, back, return_exceptions=True)
        to_there.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        target.write(data)
        await target.drain()


@asynccontextmanager
async def http_proxy(hosts: Mapping[str, int]) -> AsyncGenerator[HttpProxy, None]:
    proxy = HttpProxy(hosts)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 18)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
