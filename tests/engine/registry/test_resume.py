"""Pulls that are interrupted: by a kill, by their caller, by the disk. They go on from what was there."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import msgspec
import pytest

from ollama_engine.errors import ServerUnreachable, StoreError
from ollama_engine.registry import Registry, RegistryConfig
from ollama_engine.registry.partial import Partial, partial_path
from ollama_engine.registry.ranges import RangeSet
from ollama_engine.store import Digest, ModelName, Store
from tests.engine.registry.conftest import MIB, Weights, model_bytes, name_at, pull
from tests.support.registry_proxy import Exchange, running_proxy
from tests.support.registry_server import RunningRegistry

SIZE = 14 * MIB + 321
PART = SIZE // 4

PULL = """
import asyncio, sys
from pathlib import Path
from ollama_engine.registry import Registry, RegistryConfig
from ollama_engine.store import Store, names

async def main():
    config = RegistryConfig(connections=4, backoff=0.01)
    async with Registry(Store(Path(sys.argv[1])), config=config) as registry:
        async for step in registry.pull(names.parse(sys.argv[2]), insecure=True):
            print(step.status, flush=True)

asyncio.run(main())
"""


def journalled(store: Store, digest: Digest) -> RangeSet:
    """The ranges that the journal of a partial holds; opening it also shows that it can be locked again."""
    if not partial_path(store.blobs.folder, digest).exists():
        return RangeSet()
    partial = Partial.open(store.blobs.folder, digest, SIZE)
    assert partial is not None
    partial.close()
    return partial.have


async def start_pull(store: Store, name: ModelName) -> asyncio.subprocess.Process:
    """A process that pulls over plain http."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PULL, str(store.root), f"http://{name.full}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Change bytes of a file; an offset of -1 means its end."""
    with path.open("r+b") as file:
        file.seek(*((0, os.SEEK_END) if offset < 0 else (offset,)))
        file.write(data)


async def kill_and_resume(registry_host: str, repository: str, data: bytes, store: Store, kills: int) -> None:
    """Pull in a process that is killed `kills` times at random moments, then to the end."""
    digest = Digest(hashlib.sha256(data).hexdigest())
    chance = random.Random(kills)
    victim: asyncio.subprocess.Process | None = None
    limit = 0

    async def kill(exchange: Exchange) -> None:
        nonlocal victim
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                if victim is not None and exchange.proxy.sent >= limit:
                    with suppress(ProcessLookupError):
                        os.kill(victim.pid, signal.SIGKILL)
                    victim = None
                await exchange.send(chunk)

    async with running_proxy(registry_host, kill) as proxy:
        name = name_at(proxy.host, repository)
        for turn in range(kills + 1):
            had = journalled(store, digest)
            requests = len(proxy.log)
            last = turn == kills
            limit = proxy.sent + (1 << 60 if last else chance.randrange(0, 2 * len(data) // kills + 3 * MIB))
            victim = process = await start_pull(store, name)
            _, errors = await process.communicate()
            assert process.returncode == 0 or (not last and process.returncode == -signal.SIGKILL), errors.decode()
            for seen in proxy.log[requests:]:
                if proxy.is_large(seen):
                    start, end = seen.start or 0, seen.end or SIZE
                    assert list(had.gaps(start, end)) == [(start, end)], "bytes in the journal were asked for again"
        assert model_bytes(store, name) == data
    assert [left for left in os.listdir(store.blobs.folder) if "partial" in left] == []


async def test_a_pull_that_is_killed_goes_on_and_fetches_nothing_again(
    weights: Weights, registry_server: RunningRegistry, store: Store
) -> None:
    repository, data = weights(SIZE)
    await kill_and_resume(registry_server.host, repository, data, store, kills=8)


@pytest.mark.soak
async def test_a_pull_that_is_killed_fifty_times_goes_on_and_fetches_nothing_again(
    weights: Weights, registry_server: RunningRegistry, store: Store
) -> None:
    repository, data = weights(SIZE)
    await kill_and_resume(registry_server.host, repository, data, store, kills=50)


async def pull_a_part(server: RunningRegistry, repository: str, store: Store, config: RegistryConfig) -> None:
    """Pull from a registry that stops sending after 3/5 of the weights, and close the pull when a part is there."""

    async def hold(exchange: Exchange) -> None:
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                if exchange.proxy.is_large(exchange.seen) and exchange.proxy.sent > SIZE * 3 // 5:
                    await asyncio.Event().wait()
                await exchange.send(chunk)

    patient = msgspec.structs.replace(config, stall=60.0)
    async with (
        running_proxy(server.host, hold) as proxy,
        Registry(store, config=patient) as registry,
        aclosing(registry.pull(name_at(proxy.host, repository), insecure=True)) as steps,
    ):
        async for step in steps:
            if step.completed >= PART:
                return


async def test_a_pull_that_is_closed_keeps_what_came(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    await pull_a_part(registry_server, repository, store, config)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        kept = journalled(store, Digest(hashlib.sha256(data).hexdigest())).total
        sent = proxy.sent
        steps = await pull(store, config, name)
        assert proxy.sent - sent <= len(data) - kept + 100
    assert PART <= kept < SIZE
    first = next(step for step in steps if step.total == SIZE and step.completed)
    assert first.completed >= kept
    assert model_bytes(store, name) == data


async def test_bytes_that_the_disk_lost_are_found_and_fetched_again(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    """After a power cut the journal can know of bytes that never reached the disk."""
    repository, data = weights(SIZE)
    await pull_a_part(registry_server, repository, store, config)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        digest = Digest(hashlib.sha256(data).hexdigest())
        there = journalled(store, digest)
        kept = there.total
        overwrite(partial_path(store.blobs.folder, digest), next(iter(there))[0] + 1000, bytes(100))
        sent = proxy.sent
        await pull(store, config, name)
        assert len(data) - kept < proxy.sent - sent < len(data) - kept + 3 * MIB
    assert model_bytes(store, name) == data


@pytest.mark.parametrize("damage", [b"", b"garbage\n", b'{"version":1}\n' + bytes(240), None])
async def test_a_journal_that_cannot_be_believed_is_not(
    damage: bytes | None, weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    name = name_at(registry_server.host, repository)
    await pull_a_part(registry_server, repository, store, config)
    path = partial_path(store.blobs.folder, Digest(hashlib.sha256(data).hexdigest()))
    journal = path.with_name(path.name + ".journal")
    if damage is None:  # the journal of another file of that name
        path.unlink()
    else:
        journal.write_bytes(damage)
    await pull(store, config, name)
    assert model_bytes(store, name) == data


async def test_the_torn_end_of_a_journal_is_passed_over(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    name = name_at(registry_server.host, repository)
    await pull_a_part(registry_server, repository, store, config)
    digest = Digest(hashlib.sha256(data).hexdigest())
    path = partial_path(store.blobs.folder, digest)
    before = journalled(store, digest).total
    overwrite(path.with_name(path.name + ".journal"), -1, b"half a record")
    assert journalled(store, digest).total == before
    await pull(store, config, name)
    assert model_bytes(store, name) == data


async def test_ollamas_own_partial_is_not_believed_and_its_notes_are_left(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    path = partial_path(store.blobs.folder, Digest(hashlib.sha256(data).hexdigest()))
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(SIZE))
    note = path.with_name(path.name + "-0")
    note.write_text('{"N":0,"Offset":0,"Size":100,"Completed":100}')
    name = name_at(registry_server.host, repository)
    await pull(store, config, name)
    assert model_bytes(store, name) == data
    assert note.exists()


async def test_two_pulls_of_one_blob_fetch_it_once(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        async with Registry(store, config=config) as registry:

            async def one() -> list[int]:
                steps = [step async for step in registry.pull(name, insecure=True)]
                return [step.completed for step in steps if step.total == SIZE]

            first, second = await asyncio.gather(one(), one())
        assert proxy.sent < len(data) + MIB
    assert first[-1] == second[-1] == SIZE
    assert model_bytes(store, name) == data


async def test_a_pull_takes_over_when_the_one_it_watched_is_given_up(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    slow = msgspec.structs.replace(config, bandwidth=40 * MIB)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        async with Registry(store, config=slow) as registry:

            async def give_up() -> None:
                async with aclosing(registry.pull(name, insecure=True)) as steps:
                    async for step in steps:
                        if step.completed > SIZE // 3:
                            return

            async def stay() -> None:
                async for _ in registry.pull(name, insecure=True):
                    pass

            await asyncio.gather(give_up(), stay())
        assert sum(seen.start == 0 for seen in proxy.blobs) == 1
    assert model_bytes(store, name) == data


async def test_two_processes_pull_one_model_and_fetch_it_once(
    weights: Weights, registry_server: RunningRegistry, store: Store
) -> None:
    repository, data = weights(SIZE)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        processes = [await start_pull(store, name) for _ in range(2)]
        await asyncio.gather(*(process.communicate() for process in processes))
        assert [process.returncode for process in processes] == [0, 0]
        assert proxy.sent < len(data) + MIB
    assert model_bytes(store, name) == data


# --- room on the disk


async def test_a_model_that_does_not_fit_is_refused_before_a_byte_is_fetched(
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository, _ = weights(SIZE)
    monkeypatch.setattr(Store, "free_bytes", lambda self: SIZE)
    async with running_proxy(registry_server.host) as proxy:
        with pytest.raises(StoreError, match=rf"not enough disk space: \d+ bytes needed, {SIZE} free in .*models"):
            await pull(store, config, name_at(proxy.host, repository))
        assert proxy.sent == 0
    assert not store.blobs.folder.exists() or os.listdir(store.blobs.folder) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "none", folder], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mount.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_up(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(MIB // 4))


async def test_a_disk_that_fills_up_pauses_the_pull(
    weights: Weights,
    registry_server: RunningRegistry,
    small_disk: Path,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository, data = weights(SIZE)
    store = Store(small_disk / "models")
    ballast = small_disk / "ballast"

    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        await pull_a_part(registry_server, repository, store, config)
        fill_up(ballast)
        monkeypatch.setattr(Store, "free_bytes", lambda self: 1 << 40)  # as if it had filled up after the check
        with pytest.raises(
            StoreError, match=r"No space left on device; \d+ bytes are still to come, \d+ are free"
        ) as caught:
            await pull(store, config, name)
        assert "Free disk space" in caught.value.hint
        kept = journalled(store, Digest(hashlib.sha256(data).hexdigest())).total
        assert kept >= PART
        ballast.write_bytes(b"")
        sent = proxy.sent
        await pull(store, config, name)
        # What was on its way when the disk was full had not been written, and comes again.
        assert proxy.sent - sent <= len(data) - kept + MIB
    assert model_bytes(store, name) == data


async def test_a_registry_that_went_away_for_good_leaves_the_partial(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)

    async def once(exchange: Exchange) -> None:
        if exchange.proxy.is_large(exchange.seen) and exchange.proxy.sent > MIB:
            await exchange.drop()
        await exchange.forward()

    async with running_proxy(registry_server.host, once) as proxy:
        with pytest.raises(ServerUnreachable, match="cannot pull"):
            await pull(store, msgspec.structs.replace(config, connections=1), name_at(proxy.host, repository))
    assert journalled(store, Digest(hashlib.sha256(data).hexdigest())).total == 4 * MIB
