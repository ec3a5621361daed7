"""Which models have a newer manifest at their registry, asked without downloading anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from ollama_engine.errors import EngineError
from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.endpoint import locate
from ollama_engine.store.store import Entry
from ollama_engine.types import Update

AT_ONCE = 8


async def check(
    client: RegistryClient, entries: Sequence[Entry], *, insecure: bool = False
) -> AsyncGenerator[Update, None]:
    """One answer for each model, in the order in which they come. Closing it ends the questions."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(entry: Entry) -> Update:
        async with gate:
            return await _ask(client, entry, insecure)

    tasks = [asyncio.create_task(ask(entry)) for entry in entries]
    try:
        for answer in asyncio.as_completed(tasks):
            yield await answer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(client: RegistryClient, entry: Entry, insecure: bool) -> Update:
    name = entry.name.display
    try:
        remote = await client.manifest_digest(locate(entry.name, client.config, insecure=insecure))
    except EngineError as error:
        return Update(name, "unknown", entry.digest, reason=str(error))
    if remote is None:
        return Update(name, "absent", entry.digest)
    return Update(name, "current" if remote.hex == entry.digest else "newer", entry.digest, remote.hex)
