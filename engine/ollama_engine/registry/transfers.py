"""Blobs on their way into the store: each is fetched once, however many pulls, here or in other processes, want it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from ollama_engine.errors import DigestMismatch, StoreError
from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.download import BlobDownload, Budget
from ollama_engine.registry.errors import SourceChanged, first_cause
from ollama_engine.registry.known_files import KnownFiles
from ollama_engine.registry.pace import Throttle
from ollama_engine.registry.partial import Partial, clear_up, partial_path
from ollama_engine.registry.progress import INTERVAL, Board, Track
from ollama_engine.registry.source import BlobSource
from ollama_engine.registry.threads import in_thread
from ollama_engine.store.store import Store

BLOBS_AT_ONCE = 16
OTHER_PROCESS_POLL = 0.25
FULL = (errno.ENOSPC, errno.EDQUOT)
SPARE = 64 << 20
"""Bytes of disk that a pull leaves free, for the manifest and for everybody else."""


OpenSource = Callable[[Track], BlobSource]


class _Transfer:
    """One download going on in this process; others who want the blob watch it until it has ended."""

    def __init__(self) -> None:
        self.download: BlobDownload | None = None
        self.ended = asyncio.Event()


class Transfers:
    """All downloads of one Registry, under one budget."""

    def __init__(self, store: Store, client: RegistryClient) -> None:
        self._store = store
        self._client = client
        self._known = KnownFiles(store.root)
        self.throttle = Throttle(client.config.bandwidth)
        self._budget = Budget(asyncio.Semaphore(client.config.connections), self.throttle)
        self._active: dict[str, _Transfer] = {}
        self._boards: list[Board] = []

    async def fetch_all(self, source: OpenSource, board: Board) -> None:
        """Bring every blob of the board into the store, several at once; StoreError when there is no room."""
        self._boards.append(board)
        try:
            await in_thread(self._look_around, board)
            self._check_space()
            gate = asyncio.Semaphore(BLOBS_AT_ONCE)

            async def fetch(track: Track) -> None:
                async with gate:
                    await self._fetch(source, track)

            async with asyncio.TaskGroup() as group:
                for track in board.tracks:
                    group.create_task(fetch(track))
        except BaseExceptionGroup as errors:
            cause = first_cause(errors)
            raise self._explained(cause, board) from cause.__cause__
        finally:
            self._boards.remove(board)

    def _look_around(self, board: Board) -> None:
        """Mark what is in the store, whole or as a partial."""
        for track in board.tracks:
            if self._is_there(track):
                clear_up(self._store.blobs.folder, track.digest)
                track.finish()

    def _is_there(self, track: Track) -> bool:
        """Whether the store has the blob; for a file whose digest nobody says, whether it is known to be one it has."""
        blob = track.blob or self._known.digest(track.digest)
        if blob is None or not self._store.blobs.reuse(blob, track.size):
            return False
        track.blob = blob
        return True

    def _check_space(self) -> None:
        """StoreError when all that is still to come, of every pull going on, does not fit on the disk."""
        missing = {track.digest: track for board in self._boards for track in board.tracks if track.left}
        needed = sum(max(0, track.size - self._allocated(track)) for track in missing.values())
        free = self._store.free_bytes()
        if needed and needed + SPARE > free:
            raise StoreError(
                f"not enough disk space: {needed} bytes needed, {free} free in {self._store.root}",
                hint="Free disk space (remove models, prune), or set OLLAMA_MODELS to a larger disk.",
            )

    def _explained(self, error: BaseException, board: Board) -> BaseException:
        """The error; of a disk that filled up meanwhile with how much is still to come and how much is free."""
        cause = error.__cause__
        if not (isinstance(error, StoreError) and isinstance(cause, OSError) and cause.errno in FULL):
            return error
        room = f"{board.left} bytes are still to come, {self._store.free_bytes()} are free"
        return StoreError(f"{error.message}; {room}", hint=error.hint)

    def _allocated(self, track: Track) -> int:
        try:
            return partial_path(self._store.blobs.folder, track.digest).stat().st_blocks * 512
        except OSError:
            return 0

    async def _fetch(self, source: OpenSource, track: Track) -> None:
        while track.left or track.size == 0:
            if other := self._active.get(track.digest.hex):
                await self._watch(other, track)
            elif not await self._fetch_here(source, track):
                await asyncio.sleep(OTHER_PROCESS_POLL)
            if await in_thread(self._is_there, track):
                track.finish()
                return

    async def _watch(self, other: _Transfer, track: Track) -> None:
        """Wait for another pull of this process, showing its progress as ours."""
        while not other.ended.is_set():
            if other.download is not None:
                track.reach(other.download.completed)
            try:
                async with asyncio.timeout(INTERVAL):
                    await other.ended.wait()
            except TimeoutError:
                continue

    async def _fetch_here(self, source: OpenSource, track: Track) -> bool:
        """Download the blob, unless another process is doing so: then False."""
        transfer = self._active[track.digest.hex] = _Transfer()
        try:
            partial = await _open(self._store, track)
            if partial is None:
                return False
            try:
                await self._download(source(track), track, partial, transfer)
            finally:
                partial.close()
            return True
        finally:
            del self._active[track.digest.hex]
            transfer.ended.set()

    async def _download(self, source: BlobSource, track: Track, partial: Partial, transfer: _Transfer) -> None:
        known = track.blob is not None
        if not source.lasting:
            await in_thread(partial.discard, list(partial.pieces.values()))
        download = BlobDownload(source, partial, self._client.config, self._budget, known=known)
        transfer.download = download
        track.fresh = True
        reporter = asyncio.create_task(_report(download, track))
        try:
            digest = await download.run()
        except (DigestMismatch, SourceChanged):
            await in_thread(partial.remove)
            raise
        finally:
            reporter.cancel()
        await in_thread(partial.become, self._store.blobs.folder / digest.file_name, self._store.root)
        if not known and source.lasting:
            await in_thread(self._known.note, track.digest, digest)
        track.blob = digest
        track.finish()


async def _open(store: Store, track: Track) -> Partial | None:
    """Partial.open in a thread; closed again if we are cancelled meanwhile."""
    opening = asyncio.ensure_future(asyncio.to_thread(Partial.open, store.blobs.folder, track.digest, track.size))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_opened)
        raise


def _close_opened(opening: asyncio.Future[Partial | None]) -> None:
    if not opening.cancelled() and opening.exception() is None and (partial := opening.result()) is not None:
        partial.close()


async def _report(download: BlobDownload, track: Track) -> None:
    while True:
        track.reach(download.completed)
        await asyncio.sleep(INTERVAL)
