"""What networks and servers do to downloads: each ends in the right bytes, or in one error that says what it was."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from ollama_engine.errors import DigestMismatch, EngineError, NotFound, ServerUnreachable
from ollama_engine.registry import AccessDenied, Registry, RegistryConfig, RegistryError, UnsafeRedirect, download
from ollama_engine.registry.progress import Track
from ollama_engine.store import Digest, Store
from tests.engine.registry.conftest import MIB, Weights, model_bytes, name_at, pull
from tests.support.registry_proxy import Exchange, Fault, running_proxy
from tests.support.registry_server import RunningRegistry

SIZE = 13 * MIB + 5
OnBlob = Callable[[Exchange, int], Awaitable[None]]


def on_blobs(fault: OnBlob) -> Fault:
    """Apply `fault` to requests for the weights, numbered from 0; pass on all else."""

    async def apply(exchange: Exchange) -> None:
        large = [seen for seen in exchange.proxy.blobs if seen.path == exchange.seen.path]
        if exchange.seen.is_blob and exchange.seen.method == "GET" and exchange.proxy.is_large(exchange.seen):
            await fault(exchange, len(large) - 1)
        else:
            await exchange.forward()

    return apply


async def cut(exchange: Exchange, number: int) -> None:
    if number >= 6:
        await exchange.forward()
        return
    async with exchange.reply() as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(chunk)
            if exchange.seen.sent > (number + 1) * 300_000:
                await exchange.drop()


async def stall(exchange: Exchange, number: int) -> None:
    if number >= 3:
        await exchange.forward()
        return
    async with exchange.reply() as reply:
        await exchange.begin(reply.status, reply.headers)
        await exchange.send(await anext(reply.body))
        await asyncio.Event().wait()


async def ignore_range(exchange: Exchange, number: int) -> None:
    async with exchange.reply(range="") as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(chunk)


async def ignore_range_and_break_off_twice(exchange: Exchange, number: int) -> None:
    async with exchange.reply(range="") as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(chunk)
            if number < 7 and exchange.seen.sent > 6 * MIB:
                await exchange.drop()


async def send_less_than_asked(exchange: Exchange, number: int) -> None:
    """A server that hands out at most 1.5 MB at once, and says so."""
    start, end = exchange.seen.start, exchange.seen.end
    assert start is not None
    assert end is not None
    async with exchange.reply(range=f"bytes={start}-{min(end, start + 1_500_000) - 1}") as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(chunk)


async def wrong_content_range(exchange: Exchange, number: int) -> None:
    if number >= 3:
        await exchange.forward()
        return
    async with exchange.reply() as reply:
        await exchange.begin(206, {**reply.headers, "content-range": f"bytes 7-99/{SIZE}"})
        async for chunk in reply.body:
            await exchange.send(chunk)


async def compress(exchange: Exchange, number: int) -> None:
    async with exchange.reply(range="") as reply:
        body = gzip.compress(await reply.read(), 0)
    await exchange.answer(206 if exchange.seen.start else 200, {"content-encoding": "gzip"}, body)


async def too_many_requests(exchange: Exchange, number: int) -> None:
    if number >= 4:
        await exchange.forward()
        return
    await exchange.answer(429, {"retry-after": "0"}, b"slow down")


async def fail_now_and_then(exchange: Exchange, number: int) -> None:
    if number in (0, 1, 3, 5):
        await exchange.answer(502 + number % 2, {}, b"oops")
        return
    await exchange.forward()


async def endless(exchange: Exchange, number: int) -> None:
    """The whole file without a length, and then ever more."""
    async with exchange.reply(range="") as reply:
        await exchange.begin(200, {"content-type": "application/octet-stream"})
        async for chunk in reply.body:
            await exchange.send(chunk)
    while True:
        await exchange.send(bytes(65536))


async def corrupt_once(exchange: Exchange, number: int) -> None:
    async with exchange.reply() as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(bytes(len(chunk)) if number == 1 else chunk)


async def redirect_to_itself_with_token(exchange: Exchange, number: int) -> None:
    """As registries in front of an object store do: 307 to a signed URL, which expires after some requests."""
    if "signed=" not in exchange.seen.path:
        location = f"{exchange.seen.path}?signed={number}"
        await exchange.answer(307, {"location": location})
        return
    exchange.seen.path = exchange.seen.path.partition("?")[0]
    await exchange.forward()


@pytest.mark.parametrize(
    "fault",
    [
        cut,
        stall,
        ignore_range,
        ignore_range_and_break_off_twice,
        send_less_than_asked,
        wrong_content_range,
        compress,
        too_many_requests,
        fail_now_and_then,
        endless,
        corrupt_once,
        redirect_to_itself_with_token,
    ],
)
async def test_the_right_bytes_come_in_spite_of(
    fault: OnBlob, weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    config = msgspec.structs.replace(config, stall=0.6)
    async with running_proxy(registry_server.host, on_blobs(fault)) as proxy:
        name = name_at(proxy.host, repository)
        steps = await pull(store, config, name)
        assert model_bytes(store, name) == data
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    completed = [step.completed for step in steps if step.digest == digest]
    assert completed == sorted(completed)


async def test_what_a_broken_connection_brought_is_not_fetched_again(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    async with running_proxy(registry_server.host, on_blobs(cut)) as proxy:
        await pull(store, config, name_at(proxy.host, repository))
        # What the proxy had sent when it cut a connection may be lost on the way; nothing else comes twice.
        assert sum(seen.sent for seen in proxy.blobs[6:]) < len(data)
        asked = sorted((seen.start or 0) for seen in proxy.blobs if proxy.is_large(seen))
        assert len(set(asked)) == len(asked)


async def always_503(exchange: Exchange, number: int) -> None:
    await exchange.answer(503, {"retry-after": "0"}, b"down for maintenance")


async def always_403(exchange: Exchange, number: int) -> None:
    await exchange.answer(403, {}, b"not yours")


async def always_404(exchange: Exchange, number: int) -> None:
    await exchange.answer(404, {}, b"gone")


async def always_418(exchange: Exchange, number: int) -> None:
    await exchange.answer(418, {}, b"a\x1b[31mteapot")


async def always_corrupt(exchange: Exchange, number: int) -> None:
    async with exchange.reply() as reply:
        await exchange.begin(reply.status, reply.headers)
        async for chunk in reply.body:
            await exchange.send(bytes(len(chunk)))


async def redirect_in_circles(exchange: Exchange, number: int) -> None:
    await exchange.answer(307, {"location": exchange.seen.path})


async def redirect_nowhere(exchange: Exchange, number: int) -> None:
    await exchange.answer(307, {"location": "file:///etc/passwd"})


async def another_size(exchange: Exchange, number: int) -> None:
    async with exchange.reply() as reply:
        changed = reply.headers["content-range"].replace(f"/{SIZE}", f"/{SIZE + 1}")
        await exchange.begin(reply.status, {**reply.headers, "content-range": changed})


async def not_that_long(exchange: Exchange, number: int) -> None:
    await exchange.answer(416, {"content-range": "bytes */5"})


async def always_another_range(exchange: Exchange, number: int) -> None:
    async with exchange.reply(range="bytes=7-99") as reply:
        await exchange.begin(reply.status, reply.headers)
        await exchange.send(await reply.read())


async def never_any_byte(exchange: Exchange, number: int) -> None:
    await exchange.drop()


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (always_503, ServerUnreachable, r"cannot pull blob \w{12} from 127.0.0.1: 127.0.0.1 answered 503 down for"),
        (always_403, AccessDenied, r"pull blob \w{12}: 403: not yours"),
        (always_404, NotFound, r"pull blob \w{12}: file does not exist"),
        (always_418, RegistryError, r"pull blob \w{12}: 418: a\?\[31mteapot"),
        (always_corrupt, DigestMismatch, "digest mismatch, file must be downloaded again: want sha256:"),
        (redirect_in_circles, UnsafeRedirect, "redirects in circles"),
        (redirect_nowhere, UnsafeRedirect, "redirects to no URL: 'file:///etc/passwd'"),
        (another_size, RegistryError, rf"has {SIZE + 1} bytes at 127.0.0.1, its manifest says {SIZE}"),
        (not_that_long, RegistryError, "has fewer bytes of blob"),
        (always_another_range, ServerUnreachable, r"127.0.0.1 sent bytes 7-99 where \d+-\d+ were asked for"),
        (never_any_byte, ServerUnreachable, r"the connection to 127.0.0.1 broke"),
    ],
)
async def test_one_clear_error_and_no_blob_from(
    fault: OnBlob,
    kind: type[EngineError],
    message: str,
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
) -> None:
    repository, data = weights(SIZE)
    async with running_proxy(registry_server.host, on_blobs(fault)) as proxy:
        with pytest.raises(kind, match=message):
            await pull(store, config, name_at(proxy.host, repository))
    assert not store.blobs.exists(f"sha256:{hashlib.sha256(data).hexdigest()}")
    assert store.list() == []


async def test_wrong_bytes_leave_no_partial(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(SIZE)
    async with running_proxy(registry_server.host, on_blobs(always_corrupt)) as proxy:
        with pytest.raises(DigestMismatch):
            await pull(store, config, name_at(proxy.host, repository))
    assert [name for name in os.listdir(store.blobs.folder) if "partial" in name] == []


async def test_a_file_that_changes_meanwhile_is_fetched_again_only_where_it_changed(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    config = msgspec.structs.replace(config, connections=1)

    async def change(exchange: Exchange, number: int) -> None:
        """The second request gets 1 MiB of an older version of the file."""
        old = number == 1
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, {**reply.headers, "etag": '"old"' if old else '"new"'})
            async for chunk in reply.body:
                if old and exchange.seen.sent >= MIB:
                    await exchange.drop()
                await exchange.send(bytes(len(chunk)) if old else chunk)

    async with running_proxy(registry_server.host, on_blobs(change)) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, config, name)
        assert model_bytes(store, name) == data
        assert proxy.sent <= len(data) + 2 * MIB + 100


async def test_a_connection_far_slower_than_the_others_is_replaced(
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "LAG_AGE", 0.3)
    repository, data = weights(SIZE)

    async def drip_first(exchange: Exchange, number: int) -> None:
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                for start in range(0, len(chunk), 16384):
                    await asyncio.sleep(5 if number == 0 else 0.006)
                    await exchange.send(chunk[start : start + 16384])

    async with running_proxy(registry_server.host, on_blobs(drip_first)) as proxy:
        name = name_at(proxy.host, repository)
        async with asyncio.timeout(20):
            await pull(store, msgspec.structs.replace(config, stall=60.0), name)
        assert model_bytes(store, name) == data


async def test_several_pulls_keep_to_one_connection_budget(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    models = [weights(9 * MIB) for _ in range(3)]
    busiest = 0

    async def count(exchange: Exchange, number: int) -> None:
        nonlocal busiest
        busiest = max(busiest, sum(not seen.done for seen in exchange.proxy.blobs))
        await exchange.forward()

    async with running_proxy(registry_server.host, on_blobs(count)) as proxy:
        async with Registry(store, config=msgspec.structs.replace(config, connections=3)) as registry:

            async def pull_one(repository: str) -> None:
                async for _ in registry.pull(name_at(proxy.host, repository), insecure=True):
                    pass

            await asyncio.gather(*(pull_one(repository) for repository, _ in models))
        assert all(model_bytes(store, name_at(proxy.host, repository)) == data for repository, data in models)
    assert busiest == 3


async def test_a_corrupt_range_is_fetched_again_and_not_the_whole_file(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(24 * MIB)
    where = 5 * MIB
    corrupted = 0

    async def corrupt_there(exchange: Exchange, number: int) -> None:
        nonlocal corrupted
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                position = (exchange.seen.start or 0) + exchange.seen.sent
                hit = position <= where < position + len(chunk) and not corrupted
                corrupted += hit
                await exchange.send(bytes(len(chunk)) if hit else chunk)

    async with running_proxy(registry_server.host, on_blobs(corrupt_there)) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, msgspec.structs.replace(config, connections=2), name)
        assert model_bytes(store, name) == data
        assert corrupted == 1
        assert proxy.sent < 1.6 * len(data), [(seen.start, seen.end, seen.sent) for seen in proxy.blobs]


async def test_what_a_slow_connection_has_still_to_do_is_shared(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    """So that the last per cent does not wait for one connection."""
    repository, data = weights(24 * MIB)

    async def slow(exchange: Exchange, number: int) -> None:
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                await asyncio.sleep(0.02 if exchange.seen.start == 8 * MIB else 0)
                await exchange.send(chunk)

    async with running_proxy(registry_server.host, on_blobs(slow)) as proxy:
        name = name_at(proxy.host, repository)
        await pull(store, msgspec.structs.replace(config, connections=2), name)
        assert model_bytes(store, name) == data
        [slowest] = [seen for seen in proxy.blobs if seen.start == 8 * MIB]
        assert any((slowest.start or 0) < (seen.start or 0) < (slowest.end or 0) for seen in proxy.blobs)


def test_what_a_track_shows_never_goes_back() -> None:
    track = Track(Digest("0" * 64), 100)
    shown = []
    for completed in (10, 5, 30, 0, 200):
        track.reach(completed)
        shown.append(track.completed)
    assert shown == [10, 10, 30, 30, 100]


async def test_on_a_slow_line_progress_is_told_long_before_a_whole_piece_has_come(
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "LONGEST_HELD", 0.0)
    monkeypatch.setattr(download, "LAG_AGE", 1000.0)  # a connection that is replaced writes what it has, too
    told = asyncio.Event()

    async def send_little_until_it_is_told(exchange: Exchange, number: int) -> None:
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            await exchange.send(await anext(reply.body))
            await told.wait()
            async for chunk in reply.body:
                await exchange.send(chunk)

    repository, data = weights(SIZE)
    patient = msgspec.structs.replace(config, stall=1000.0)
    async with (
        asyncio.timeout(20),
        running_proxy(registry_server.host, on_blobs(send_little_until_it_is_told)) as proxy,
        Registry(store, config=patient) as registry,
    ):
        async for step in registry.pull(name_at(proxy.host, repository), insecure=True):
            if 0 < step.completed < step.total == len(data):
                told.set()
    assert told.is_set()
    assert model_bytes(store, name_at(proxy.host, repository)) == data
