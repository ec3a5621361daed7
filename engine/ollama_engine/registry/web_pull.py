"""Files of links into the store: resumed like blobs of a registry, each named once its digest is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct

from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.errors import SourceChanged, first_cause
from ollama_engine.registry.progress import Board, PullProgress, Track
from ollama_engine.registry.pull import fetch
from ollama_engine.registry.transfers import Transfers
from ollama_engine.registry.web_source import WebFile, WebSource, look
from ollama_engine.store.digests import Digest

LOOKS_AT_ONCE = 8
VERSIONS = 3
"""How often a file may change while it is downloaded before that is given up."""


class Fetched(Struct, frozen=True):
    """A file that is a blob of the store now."""

    name: str
    digest: Digest


async def pull_files(
    client: RegistryClient, transfers: Transfers, urls: Sequence[str], *, insecure: bool = False
) -> AsyncGenerator[PullProgress | Fetched, None]:
    """Bring the GGUF files of these URLs into the store: how far each is, and at the end what each has become.

    The caller holds `store.creating()`. What came stays for the next time, where the server tells versions of the file
    apart (ETag or Last-Modified). InvalidGGUF, SourceChanged, and what a pull raises.
    """
    for version in range(1, VERSIONS + 1):
        files = await _look_at_all(client, urls, insecure)
        tracks = {file.id: _track(file) for file in files}
        sources = {file.id: file for file in files}
        board = Board("pulling", list(tracks.values()))
        try:
            steps = fetch(transfers, lambda track, sources=sources: WebSource(client, sources[track.digest]), board)
            async with aclosing(steps):
                async for step in steps:
                    yield step
        except SourceChanged:
            if version == VERSIONS:
                raise
            continue
        for file in files:
            digest = tracks[file.id].blob
            assert digest is not None  # every track is finished
            yield Fetched(file.name, digest)
        return


async def _look_at_all(client: RegistryClient, urls: Sequence[str], insecure: bool) -> list[WebFile]:
    gate = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def one(url: str) -> WebFile:
        async with gate:
            return await look(client, client.config, url, insecure=insecure)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(url)) for url in urls]
    except BaseExceptionGroup as errors:
        raise first_cause(errors) from errors
    return [task.result() for task in tasks]


def _track(file: WebFile) -> Track:
    track = Track(file.id, file.version.size)
    track.label, track.blob = file.name, None
    return track
