"""Pull: a model from its registry into the store (spec §7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from ollama_engine.errors import ModelNotFound, StoreError
from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.endpoint import Endpoint, locate
from ollama_engine.registry.errors import RegistryError
from ollama_engine.registry.progress import INTERVAL, Board, PullProgress, Track
from ollama_engine.registry.source import BlobSource
from ollama_engine.registry.threads import in_thread
from ollama_engine.registry.transfers import OpenSource, Transfers
from ollama_engine.store import digests
from ollama_engine.store.lock import Creation
from ollama_engine.store.manifest import MANIFEST_TYPE, Manifest, decode_manifest
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store

OCI_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
MODEL_LAYER_PREFIX = "application/vnd.ollama."


async def pull(
    store: Store, client: RegistryClient, transfers: Transfers, name: ModelName, *, insecure: bool = False
) -> AsyncGenerator[PullProgress, None]:
    """Bring a model into the store; the last step is `success`. Closing it keeps what came for the next time.

    NotFound, AccessDenied, RegistryError, ServerUnreachable, StoreError, DigestMismatch.
    """
    endpoint = locate(name, client.config, insecure=insecure)
    yield PullProgress(status="pulling manifest")
    fetched = await client.manifest(endpoint)
    manifest = read_manifest(fetched.data, endpoint)
    creation = await creating(store)
    try:
        board = Board("pulling", _tracks(manifest, endpoint))
        fetching = fetch(transfers, lambda track: BlobSource(client, endpoint, track.digest, track.size), board)
        async with aclosing(fetching):
            async for step in fetching:
                yield step
        if any(track.fresh for track in board.tracks):
            yield PullProgress(status="verifying sha256 digest")
        yield PullProgress(status="writing manifest")
        unused = await in_thread(_unused, store, name, manifest)
        await in_thread(store.put_manifest, name, fetched.data, creation)
        if unused:
            yield PullProgress(status="removing unused layers")
        yield PullProgress(status="success")
    finally:
        creation.close()


async def fetch(transfers: Transfers, source: OpenSource, board: Board) -> AsyncGenerator[PullProgress, None]:
    """Bring every blob of the board into the store, and say how far each is. Raises what `fetch_all` does."""
    fetching = asyncio.create_task(transfers.fetch_all(source, board))
    try:
        while not fetching.done():
            await asyncio.wait([fetching], timeout=INTERVAL)
            for step in _steps(board):
                yield step
        fetching.result()
    finally:
        fetching.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([fetching])
    for step in _steps(board):
        yield step


def read_manifest(data: bytes, endpoint: Endpoint) -> Manifest:
    """The manifest that a registry sent; RegistryError where it is none, or not of a model."""
    host = endpoint.url.host
    try:
        manifest = decode_manifest(data)
    except StoreError as error:
        raise RegistryError(f"{host} sent something else than a model's manifest: {error}") from error
    if manifest.media_type not in (MANIFEST_TYPE, OCI_MANIFEST_TYPE):
        raise RegistryError(f"{host} sent a manifest of type {manifest.media_type[:100]!a}, which is not a model's")
    kinds = [layer.media_type for layer in manifest.layers]
    if kinds and not any(kind.startswith(MODEL_LAYER_PREFIX) for kind in kinds):
        raise RegistryError(f"{endpoint.repository} at {host} is not a model: it has layers of type {kinds[0][:100]!a}")
    return manifest


def _tracks(manifest: Manifest, endpoint: Endpoint) -> list[Track]:
    """One for each blob, however often the manifest names it."""
    tracks: dict[str, Track] = {}
    for layer in manifest.blobs():
        track = tracks.setdefault(layer.digest, Track(digests.parse(layer.digest), layer.size))
        if track.size != layer.size:
            raise RegistryError(
                f"the manifest from {endpoint.url.host} gives blob {track.digest.short} two sizes, "
                f"{track.size} and {layer.size}"
            )
    return list(tracks.values())


def _steps(board: Board) -> list[PullProgress]:
    return [
        PullProgress(
            status=status,
            digest=str(track.digest),
            total=track.size,
            completed=track.completed,
            rate=rate,
            eta=eta,
        )
        for status, track, rate, eta in board.news()
    ]


def _unused(store: Store, name: ModelName, manifest: Manifest) -> bool:
    """Whether the name stands for a model now with blobs that the new one has not."""
    try:
        return bool(store.resolve(name).manifest.digests() - manifest.digests())
    except (ModelNotFound, StoreError):
        return False


async def creating(store: Store) -> Creation:
    """store.creating in a thread; closed again if we are cancelled meanwhile."""
    beginning = asyncio.ensure_future(asyncio.to_thread(store.creating))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_end_creation)
        raise


def _end_creation(beginning: asyncio.Future[Creation]) -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().close()
