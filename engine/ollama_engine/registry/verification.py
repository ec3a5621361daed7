"""Hashing a download while it grows, and finding what to fetch again when the hash comes out wrong.

A registry vouches for a whole file only. So when the digest is wrong we look, in this order, at bytes that are no
longer on the disk as they were written, at bytes of an older version of the file than the newest that was seen, and
then fetch range after range again, until one differs from what it was and the digest is right.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

from ollama_engine.errors import DigestMismatch
from ollama_engine.registry.partial import MAX_PIECE, InOrder, Partial, Piece
from ollama_engine.registry.threads import in_thread
from ollama_engine.store.digests import Digest

HASH_STEP = 32 << 20
MAX_GUESSES = 3
"""Ranges that may turn out to differ without the digest becoming right, before all the rest is fetched again."""


class Verification:
    """Call `grew` after each piece; `run` ends when the partial is whole and right.

    Args:
        expected: what the digest must be; None where nobody has said.
        lost: called after pieces were discarded, for somebody to fetch them again.
        group: bytes to fetch again at a time while looking for the wrong ones.
    """

    def __init__(
        self, partial: Partial, expected: Digest | None, *, host: str, group: int, lost: Callable[[], None]
    ) -> None:
        self._partial = partial
        self._expected = expected
        self._host = host
        self._group = group
        self._lost = lost
        self._grown = asyncio.Event()

    def grew(self) -> None:
        self._grown.set()

    async def run(self) -> Digest:
        """The digest of the whole. DigestMismatch when all was fetched twice and is still wrong."""
        found = await self._hash()
        if self._expected is None or found == self._expected:
            return found
        for suspects in (await self._damaged(), self._of_older_versions()):
            if suspects:
                await self._discard(suspects)
                if await self._hash() == self._expected:
                    return self._expected
        return await self._search(self._expected)

    async def _hash(self) -> Digest:
        """The digest of the whole file, once it is whole; pieces that the disk lost are fetched again on the way."""
        hashing = InOrder(self._partial, self._partial.pieces)
        while hashing.position < self._partial.size:
            self._grown.clear()
            if pieces := hashing.pieces(HASH_STEP):
                broken = await in_thread(hashing.add, pieces)
                if broken is not None:
                    await self._discard([broken])
            else:
                await self._grown.wait()
        return hashing.digest()

    async def _search(self, expected: Digest) -> Digest:
        """Fetch group after group again until the digest is right."""
        groups = self._groups()
        differed = 0
        while groups:
            pieces = groups.pop(0)
            start, end = pieces[0].offset, pieces[-1].end
            before = await in_thread(self._crc, start, end)
            await self._discard(pieces)
            while self._partial.have.total < self._partial.size:
                self._grown.clear()
                await self._grown.wait()
            if await in_thread(self._crc, start, end) == before:
                continue
            found = await self._hash()
            if found == expected:
                return found
            differed += 1
            if differed == MAX_GUESSES and groups:
                groups = [[piece for group in groups for piece in group]]
        raise DigestMismatch(
            f"digest mismatch, file must be downloaded again: want {expected}, got {await self._hash()}",
            hint=f"{self._host} sent wrong bytes more than once: try another network, or later.",
        )

    def _groups(self) -> list[list[Piece]]:
        """All pieces in the order of the file, in groups of neighbours."""
        groups: list[list[Piece]] = []
        for _, piece in sorted(self._partial.pieces.items()):
            if not groups or piece.end - groups[-1][0].offset > self._group:
                groups.append([])
            groups[-1].append(piece)
        return groups

    async def _damaged(self) -> list[Piece]:
        buffer = bytearray(MAX_PIECE)
        pieces = list(self._partial.pieces.values())
        return [piece for piece in pieces if not await in_thread(self._partial.is_intact, piece, buffer)]

    def _of_older_versions(self) -> list[Piece]:
        pieces = list(self._partial.pieces.values())  # in the order in which they came
        return [piece for piece in pieces if piece.source != pieces[-1].source]

    def _crc(self, start: int, end: int) -> int:
        buffer = bytearray(MAX_PIECE)
        crc = 0
        while start < end:
            piece = self._partial.pieces[start]
            crc = zlib.crc32(self._partial.read(piece, buffer), crc)
            start = piece.end
        return crc

    async def _discard(self, pieces: list[Piece]) -> None:
        await in_thread(self._partial.discard, pieces)
        self._lost()
