"""A real server on a port the system chose, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from ollama_engine.engine import Engine
from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings


@asynccontextmanager
async def live_server(engine: Engine, settings: Settings | None = None) -> AsyncIterator[HostAddress]:
    """Serve `engine` on 127.0.0.1 until the block ends, which also closes the engine."""
    address: asyncio.Future[HostAddress] = asyncio.get_running_loop().create_future()
    settings = replace(settings or Settings(), host=HostAddress(port=0))
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
