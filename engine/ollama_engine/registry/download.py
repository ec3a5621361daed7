"""One blob, fetched over several connections at once into its partial and hashed as it grows.

The ranges that are missing are claimed from the front, as long as a connection is worth (adaptive). A connection
that has nothing left to claim takes half of what the slowest still has to do; one that falls far behind the others
is closed and its range claimed anew. Nothing that is journalled is fetched again, unless it turns out wrong.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress

import httpx
from msgspec import Struct

from ollama_engine.registry.client import transport_reason
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.errors import Transient, first_cause
from ollama_engine.registry.pace import Meter, Throttle, gave_up, pause
from ollama_engine.registry.partial import Partial
from ollama_engine.registry.ranges import RangeSet
from ollama_engine.registry.source import BlobSource, Opened, RangesIgnored
from ollama_engine.registry.threads import see_through
from ollama_engine.registry.verification import Verification
from ollama_engine.store.digests import Digest

PIECE = 1 << 20
"""Bytes written and journalled at once: what a kill costs each connection at the most."""
LONGEST_HELD = 1.0
"""Seconds after which less is written as well: on a slow line, too, progress is told and little is lost."""
MIN_RANGE = 4 << 20
MAX_RANGE = 64 << 20
RANGE_SECONDS = 8.0
"""How long a request should keep its connection, so that asking costs little beside it."""
WORTH_SHARING = 2.0
"""Seconds that a range must still take for another connection to be given half of it."""
LAG_AGE = 5.0
LAG_RATIO = 0.1
"""A connection older than LAG_AGE seconds is replaced below this share of the median rate of the others."""


class Budget(Struct, frozen=True):
    """What all downloads of a registry share: connections, and bytes a second."""

    connections: asyncio.Semaphore
    throttle: Throttle


class _Claim:
    """A range that one connection is fetching; `position` is the next byte to come, `end` may be brought nearer."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.position = start
        self.end = end
        self.opened = time.monotonic()
        self.meter = Meter()
        self.deadline: asyncio.Timeout | None = None

    @property
    def left(self) -> int:
        return self.end - self.position

    @property
    def seconds_left(self) -> float:
        """How long the rest will take at the rate of the last seconds; 0 while it is too early to tell."""
        return self.left / max(self.meter.rate, 1.0) if time.monotonic() - self.opened > 1.0 else 0.0

    def abandon(self) -> None:
        """Make the connection's current wait time out."""
        if self.deadline is not None and not self.deadline.expired():
            with suppress(RuntimeError):  # it has just ended by itself
                self.deadline.reschedule(asyncio.get_running_loop().time())


class BlobDownload:
    """Fetches what `partial` lacks; `run` once. `completed` never goes back.

    Args:
        known: whether the partial's digest is that of the bytes to come, and not only of what the source promises.
    """

    def __init__(
        self, source: BlobSource, partial: Partial, config: RegistryConfig, budget: Budget, *, known: bool = True
    ) -> None:
        self._source = source
        self._partial = partial
        self._config = config
        self._budget = budget
        self._claims: set[_Claim] = set()
        self._changed = asyncio.Event()
        self._range = MIN_RANGE
        self._whole = False  # the server does not do ranges
        self._workers = 0
        self._verified = False
        self._verification = Verification(
            partial,
            partial.digest if known else None,
            host=source.host,
            group=config.connections * MIN_RANGE,
            lost=self._changed.set,
        )
        self.received = 0
        """Bytes that came over the network, useful or not."""
        self.completed = partial.have.total

    async def run(self) -> Digest:
        """Until every byte is there and the digest is right; the digest.

        DigestMismatch when it is wrong a second time; ServerUnreachable when no byte comes in `attempts` tries;
        StoreError; whatever the source raises.
        """
        wanted = -(-(self._source.size - self._partial.have.total) // MIN_RANGE)
        self._workers = max(1, min(self._config.connections, wanted))
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch())
                for _ in range(self._workers):
                    group.create_task(self._work())
                digest = await self._verification.run()
                self._verified = True
                self._changed.set()
                watching.cancel()
        except BaseExceptionGroup as errors:
            cause = first_cause(errors)
            raise cause from cause.__cause__
        return digest

    # --- fetching

    async def _work(self) -> None:
        failures, since = 0, 0
        while (claim := await self._claim()) is not None:
            try:
                async with self._budget.connections:
                    await self._fetch(claim)
                failures = 0
            except RangesIgnored:
                self._go_whole()
            except Transient as error:
                failures = 0 if claim.position - claim.start >= PIECE else failures
                since = self.received if not failures else since
                failures += error.counts
                if failures >= self._config.attempts:
                    if self._workers > 1 and self.received - since >= PIECE:
                        self._workers -= 1
                        return  # the others do better with one connection less
                    raise gave_up(f"pull {self._source.what} from {self._source.host}", error) from error
                self._release(claim)
                await asyncio.sleep(pause(max(failures, 1), self._config.backoff, error.wait))
            finally:
                self._release(claim)

    async def _claim(self) -> _Claim | None:
        """The next range to fetch; None when there will be none any more."""
        while not self._verified:
            if claim := self._next():
                self._claims.add(claim)
                return claim
            self._changed.clear()
            await self._changed.wait()
        return None

    def _release(self, claim: _Claim) -> None:
        self._claims.discard(claim)
        self._changed.set()

    def _next(self) -> _Claim | None:
        size = self._source.size
        if self._whole:
            missing = self._partial.have.total < size
            return _Claim(0, size) if missing and not self._claims else None
        taken = RangeSet(self._partial.have)
        for claim in self._claims:
            taken.add(claim.start, claim.end)
        for start, end in taken.gaps(0, size):
            return _Claim(start, min(end, start + self._range))
        return self._share_of_another()

    def _share_of_another(self) -> _Claim | None:
        """Half of the range that will take longest, if that is long: what its connection has under way is lost."""
        slowest = max(self._claims, key=lambda claim: claim.seconds_left, default=None)
        if slowest is None or slowest.left < 2 * MIN_RANGE or slowest.seconds_left < WORTH_SHARING:
            return None
        end, slowest.end = slowest.end, slowest.end - slowest.left // 2
        return _Claim(slowest.end, end)

    def _go_whole(self) -> None:
        self._whole = True
        for claim in self._claims:
            claim.abandon()

    async def _fetch(self, claim: _Claim) -> None:
        """Fetch the claim; what came is written even if the rest does not."""
        if self._whole and (claim.start, claim.end) != (0, self._source.size):
            return
        pending = _Pending(claim.position)
        opened: Opened | None = None
        try:
            async with asyncio.timeout(None) as claim.deadline:
                async with self._source.open(claim.start, claim.end) as opened:
                    claim.opened = time.monotonic()
                    await self._receive(claim, opened, pending)
        except TimeoutError:
            raise Transient("a slow connection was replaced", wait=0.0, counts=False) from None
        except httpx.TransportError as error:
            raise Transient(transport_reason(httpx.URL(f"//{self._source.host}"), error)) from error
        except httpx.DecodingError as error:
            raise Transient(f"{self._source.host} sent a body that cannot be decompressed") from error
        finally:
            if opened is not None:
                await self._write(pending, opened.source)
        if claim.position < claim.end:
            raise Transient(f"{self._source.host} sent fewer bytes than it said")

    async def _receive(self, claim: _Claim, opened: Opened, pending: _Pending) -> None:
        # A claim can lose its second half to another connection at any time, so its end is read anew each time.
        claim.end = min(claim.end, opened.end)
        stream = opened.response.aiter_bytes() if opened.encoded else opened.response.aiter_raw()
        async for chunk in stream:
            data = memoryview(chunk)[: max(0, min(claim.end, opened.end) - claim.position)]
            pending.add(data)
            claim.position += len(data)
            claim.meter.add(len(data))
            self.received += len(data)
            if pending.size >= PIECE or pending.age >= LONGEST_HELD:
                await self._write(pending, opened.source)
            await self._budget.throttle.take(len(data))
            if claim.position >= claim.end:
                break
        seconds = time.monotonic() - claim.opened
        if claim.position - claim.start >= MIN_RANGE:
            rate = (claim.position - claim.start) / max(seconds, 0.001)
            self._range = int(min(max(rate * RANGE_SECONDS, MIN_RANGE), MAX_RANGE))

    async def _write(self, pending: _Pending, source: int) -> None:
        """Write what has gathered, less what is there already (only a whole-file answer brings that again)."""
        start, data = pending.take()
        view = memoryview(data)
        for left, right in list(self._partial.have.gaps(start, start + len(data))):
            await see_through(self._write_piece(left, view[left - start : right - start], source))

    async def _write_piece(self, offset: int, data: memoryview, source: int) -> None:
        self._partial.record(await asyncio.to_thread(self._partial.write, offset, data, source))
        self.completed = max(self.completed, self._partial.have.total)
        self._verification.grew()

    # --- watching

    async def _watch(self) -> None:
        """Close connections that are far slower than the others; let idle ones look again for something to share."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            grown = [claim for claim in self._claims if now - claim.opened > LAG_AGE]
            for claim in grown:
                others = [other.meter.rate for other in grown if other is not claim]
                if len(others) >= 2 and claim.meter.rate < LAG_RATIO * statistics.median(others):
                    claim.abandon()
            self._changed.set()  # a range may have become slow enough to be shared


class _Pending:
    """Bytes that came and are not written yet."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._data = bytearray()
        self._since = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the last were taken."""
        return time.monotonic() - self._since

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, data: memoryview) -> None:
        self._data += data

    def take(self) -> tuple[int, bytearray]:
        start, data = self._start, self._data
        self._start, self._data = start + len(data), bytearray()
        self._since = time.monotonic()
        return start, data
