"""Push: a model from the store to its registry (spec §7.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from ollama_engine.errors import InvalidName, StoreError
from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.endpoint import Endpoint, locate
from ollama_engine.registry.errors import first_cause
from ollama_engine.registry.pace import Throttle, persist
from ollama_engine.registry.progress import INTERVAL, Board, PushProgress, Track
from ollama_engine.registry.upload import BlobUpload
from ollama_engine.store import digests, names
from ollama_engine.store.files import read_bounded, storing
from ollama_engine.store.manifest import MAX_MANIFEST, Layer, Manifest
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Entry, Store

BLOBS_AT_ONCE = 4


async def push(
    store: Store, client: RegistryClient, throttle: Throttle, name: ModelName, *, insecure: bool = False
) -> AsyncGenerator[PushProgress, None]:
    """Send a model to the registry of its name; the last step is `success`.

    ModelNotFound, StoreError, AccessDenied, RegistryError, ServerUnreachable.
    """
    endpoint = locate(name, client.config, insecure=insecure)
    yield PushProgress(status="retrieving manifest")
    entry = await asyncio.to_thread(store.resolve, name)
    data = await asyncio.to_thread(_manifest_bytes, store, entry)
    layers = _layers(store, entry)
    board = Board("pushing", [track for track, _ in layers])
    sending = asyncio.create_task(_send_all(store, client, endpoint, throttle, layers))
    try:
        while not sending.done():
            await asyncio.wait([sending], timeout=INTERVAL)
            for step in _steps(board):
                yield step
        sending.result()
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([sending])
    yield PushProgress(status="pushing manifest")
    await persist(lambda: _put(client, endpoint, entry.manifest, data), client.config, "push the manifest")
    yield PushProgress(status="success")


async def _send_all(
    store: Store, client: RegistryClient, endpoint: Endpoint, throttle: Throttle, layers: list[tuple[Track, Layer]]
) -> None:
    gate = asyncio.Semaphore(BLOBS_AT_ONCE)

    async def send(track: Track, layer: Layer) -> None:
        async with gate:
            await BlobUpload(client, endpoint, store.blobs, track, throttle).run(_mount_from(layer, endpoint))

    try:
        async with asyncio.TaskGroup() as group:
            for track, layer in layers:
                group.create_task(send(track, layer))
    except BaseExceptionGroup as errors:
        raise first_cause(errors) from errors


def _layers(store: Store, entry: Entry) -> list[tuple[Track, Layer]]:
    """Each blob once; StoreError where one is missing or has not the size that its manifest says."""
    found: dict[str, tuple[Track, Layer]] = {}
    for layer in entry.manifest.blobs():
        if not store.blobs.exists(layer.digest, layer.size):
            raise StoreError(
                f"blob {layer.digest} of model '{entry.name.display}' is missing or has the wrong size",
                hint=f"Pull or create {entry.name.display} again.",
            )
        found.setdefault(layer.digest, (Track(digests.parse(layer.digest), layer.size), layer))
    return list(found.values())


def _manifest_bytes(store: Store, entry: Entry) -> bytes:
    """The manifest as it lies in the store: the registry must get the bytes that its digest is of."""
    path = store.root.joinpath("manifests", *entry.name.parts)
    with storing("read", path):
        data = read_bounded(path, MAX_MANIFEST)[0]
    if digests.of_bytes(data).hex != entry.digest:
        raise StoreError(f"model '{entry.name.display}' was changed meanwhile", hint="Push it again.")
    return data


def _mount_from(layer: Layer, endpoint: Endpoint) -> str:
    """The repository, at the same registry, of the model that a layer was taken from; empty where there is none."""
    try:
        parent = names.parse(layer.from_)
    except InvalidName:
        return ""
    repository = f"{parent.namespace}/{parent.model}"
    same = parent.host.lower() == endpoint.url.netloc.decode().lower()
    return repository if same and repository != endpoint.repository else ""


async def _put(client: RegistryClient, endpoint: Endpoint, manifest: Manifest, data: bytes) -> None:
    headers = {"Content-Type": manifest.media_type}
    response = await client.send(endpoint, "PUT", endpoint.manifest, headers, lambda: data)
    if response.status_code not in (200, 201, 202):
        raise await client.refusal(endpoint, response, "push model manifest")
    await response.aclose()


def _steps(board: Board) -> list[PushProgress]:
    return [
        PushProgress(
            status=status, digest=str(track.digest), total=track.size, completed=track.completed, rate=rate, eta=eta
        )
        for status, track, rate, eta in board.news()
    ]
