"""A real server on a port the system chose: in the test's own event loop, or in a thread for clients that block it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace

from ollama_engine.engine import Engine
from ollama_engine.local import LocalEngine
from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings


@asynccontextmanager
async def live_server(
    engine: Engine, settings: Settings | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[HostAddress]:
    """Serve `engine` at `host` until the block ends, which also closes the engine."""
    address: asyncio.Future[HostAddress] = asyncio.get_running_loop().create_future()
    settings = replace(settings or Settings(), host=HostAddress(host=host, port=0))
    server = asyncio.create_task(serve(settings, engine, on_ready=address.set_result))
    try:
        await asyncio.wait({server, address}, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
        yield await address
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server


@dataclass(frozen=True)
class EngineThread:
    """A server in a thread: where it is, and a way to do something in its event loop."""

    address: HostAddress
    loop: asyncio.AbstractEventLoop

    def call(self, function: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(function)


@contextmanager
def threaded_server(settings: Settings, engine: Engine | None = None) -> Iterator[HostAddress]:
    """Serve `engine`, or a LocalEngine of its own, in a thread with a loop of its own, until the block ends."""
    with engine_in_thread(engine or LocalEngine(settings), settings) as server:
        yield server.address


@contextmanager
def engine_in_thread(engine: Engine, settings: Settings | None = None) -> Iterator[EngineThread]:
    """Serve `engine` in a thread with a loop of its own until the block ends, which also closes the engine."""
    address: Future[HostAddress] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with engine, live_server(engine, settings) as found:
            address.set_result(found)
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        yield EngineThread(address.result(timeout=30), loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
