"""The queue of pulls, and what becomes of it when its program ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from ollama_engine.errors import Busy, NotFound
from ollama_engine.registry import PullQueue, PullView, Registry, RegistryConfig
from ollama_engine.store import Store
from tests.engine.registry.conftest import MIB, Weights, model_bytes, name_at
from tests.support.registry_proxy import Exchange, running_proxy
from tests.support.registry_server import RunningRegistry

SIZE = 8 * MIB

QUEUE = """
import asyncio, sys
from pathlib import Path
from ollama_engine.registry import PullQueue, Registry, RegistryConfig
from ollama_engine.store import Store, names

async def main():
    config = RegistryConfig(connections=2, bandwidth=8 << 20)
    async with Registry(Store(Path(sys.argv[1])), config=config) as registry, PullQueue(registry) as queue:
        for name in sys.argv[2:]:
            await queue.add(names.parse(name), insecure=True)
        async for views in queue.watch():
            print(sum(view.completed for view in views), flush=True)

asyncio.run(main())
"""


async def until(queue: PullQueue, wanted: Callable[[list[PullView]], bool]) -> list[PullView]:
    """Watch the queue until it looks as wanted."""
    async with asyncio.timeout(20):
        async for views in queue.watch():
            if wanted(views):
                return views
    raise AssertionError("the queue was closed")


def all_are(state: str) -> Callable[[list[PullView]], bool]:
    return lambda views: bool(views) and all(view.state == state for view in views)


def slowly(config: RegistryConfig) -> RegistryConfig:
    return msgspec.structs.replace(config, bandwidth=16 * MIB)


async def test_queued_pulls_run_a_few_at_a_time_in_their_order(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    models = [weights(SIZE) for _ in range(3)]
    async with Registry(store, config=config) as registry, PullQueue(registry, at_once=1) as queue:
        names = [name_at(registry_server.host, repository) for repository, _ in models]
        added = [await queue.add(name, insecure=True) for name in names]
        await queue.move(added[2].id, 1)
        order: list[str] = []
        async for views in queue.watch():
            running = [view.name for view in views if view.state == "running"]
            assert len(running) <= 1
            order += [name for name in running if name not in order]
            if all_are("done")(views):
                break
    assert order == [names[0].display, names[2].display, names[1].display]
    assert all(model_bytes(store, name) == data for name, (_, data) in zip(names, models, strict=True))
    assert [name for name in os.listdir(store.root / ".ollama-tui.pulls") if name.endswith(".json")] == []


async def test_a_paused_pull_stops_and_goes_on_from_there(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    async with running_proxy(registry_server.host) as proxy:
        name = name_at(proxy.host, repository)
        async with Registry(store, config=slowly(config)) as registry, PullQueue(registry) as queue:
            pull = await queue.add(name, insecure=True)
            await until(queue, lambda views: views[0].completed > SIZE // 3)
            paused = await queue.pause(pull.id)
            assert paused.state == "paused"
            assert SIZE // 3 < paused.completed < SIZE
            registry.bandwidth = 0
            assert (await queue.resume(pull.id)).state == "running"
            views = await until(queue, all_are("done"))
        assert sum(seen.start == 0 for seen in proxy.blobs) == 1
    assert views[0].completed == views[0].total > SIZE
    assert model_bytes(store, name) == data


async def test_a_failed_pull_says_why_and_can_be_retried(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, data = weights(SIZE)
    broken = True

    async def fail(exchange: Exchange) -> None:
        if broken and exchange.seen.is_blob:
            await exchange.answer(403, {}, b"not today")
        else:
            await exchange.forward()

    async with running_proxy(registry_server.host, fail) as proxy:
        name = name_at(proxy.host, repository)
        async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
            pull = await queue.add(name, insecure=True)
            [failed] = await until(queue, all_are("failed"))
            assert "403: not today" in failed.error
            assert failed.hint
            broken = False
            await queue.retry(pull.id)
            [done] = await until(queue, all_are("done"))
            assert done.error == ""
    assert model_bytes(store, name) == data


async def test_no_room_on_the_disk_pauses_a_pull(
    weights: Weights,
    registry_server: RunningRegistry,
    store: Store,
    config: RegistryConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository, _ = weights(SIZE)
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1000)
    async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
        await queue.add(name_at(registry_server.host, repository), insecure=True)
        [paused] = await until(queue, all_are("paused"))
    assert "not enough disk space" in paused.error


@pytest.mark.parametrize("remove", [False, True])
async def test_a_cancelled_pull_is_gone_and_its_partials_only_on_request(
    remove: bool, weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(SIZE)
    async with Registry(store, config=slowly(config)) as registry, PullQueue(registry) as queue:
        pull = await queue.add(name_at(registry_server.host, repository), insecure=True)
        await until(queue, lambda views: views[0].completed > SIZE // 3)
        await queue.cancel(pull.id, remove_partials=remove)
        assert queue.pulls() == []
        with pytest.raises(NotFound, match="there is no pull"):
            await queue.resume(pull.id)
    partials = [name for name in os.listdir(store.blobs.folder) if "partial" in name]
    assert bool(partials) is not remove
    async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
        assert queue.pulls() == []


async def test_adding_a_name_twice_is_one_pull(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(SIZE)
    name = name_at(registry_server.host, repository)
    async with Registry(store, config=slowly(config)) as registry, PullQueue(registry) as queue:
        first, second = await queue.add(name, insecure=True), await queue.add(name, insecure=True)
        assert first.id == second.id
        assert len(queue.pulls()) == 1


async def test_a_closed_queue_is_taken_up_where_it_stopped(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    (running, data), (waiting, other) = weights(SIZE), weights(MIB)
    names = [name_at(registry_server.host, repository) for repository in (running, waiting)]
    async with Registry(store, config=slowly(config)) as registry, PullQueue(registry, at_once=1) as queue:
        for name in names:
            await queue.add(name, insecure=True)
        await until(queue, lambda views: views[0].completed > SIZE // 3)
    async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
        assert queue.pulls()[0].completed > SIZE // 3
        await until(queue, all_are("done"))
    assert [model_bytes(store, name) for name in names] == [data, other]


async def test_a_paused_pull_is_still_paused_in_the_next_program(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    repository, _ = weights(SIZE)
    async with Registry(store, config=slowly(config)) as registry, PullQueue(registry) as queue:
        pull = await queue.add(name_at(registry_server.host, repository), insecure=True)
        await queue.pause(pull.id)
    async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
        assert [view.state for view in queue.pulls()] == ["paused"]


async def test_a_queue_that_is_killed_goes_on_in_the_next_program(
    weights: Weights, registry_server: RunningRegistry, store: Store, config: RegistryConfig
) -> None:
    models = [weights(SIZE) for _ in range(2)]
    async with running_proxy(registry_server.host) as proxy:
        names = [name_at(proxy.host, repository) for repository, _ in models]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", QUEUE, str(store.root), *(f"http://{name.full}" for name in names)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if int(line) > SIZE:
                break
        async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
            assert all_are("elsewhere")(queue.pulls())
            with pytest.raises(Busy, match="is being pulled by another program"):
                await queue.pause(queue.pulls()[0].id)
        os.kill(process.pid, signal.SIGKILL)
        await process.communicate()
        async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
            await until(queue, all_are("done"))
        begun = Counter(seen.path for seen in proxy.blobs if seen.start == 0)
        assert 1 in begun.values()
    assert all(model_bytes(store, name) == data for name, (_, data) in zip(names, models, strict=True))


async def test_files_in_the_queues_folder_that_are_no_pulls_are_passed_over(
    store: Store, config: RegistryConfig
) -> None:
    folder = store.root / ".ollama-tui.pulls"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text('{"name":"../../etc"}')
    os.mkfifo(folder / "c.json")
    async with Registry(store, config=config) as registry, PullQueue(registry) as queue:
        assert queue.pulls() == []
