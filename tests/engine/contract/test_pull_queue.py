"""The contract of the queue of pulls, whichever engine keeps it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, NotSupported
from ollama_engine.local import LocalEngine
from ollama_engine.remote import RemoteEngine
from ollama_engine.settings import Settings
from ollama_engine.store import manifest as media
from ollama_engine.types import PullRequest, PullView
from tests.support.raw_server import http_answer, raw_server
from tests.support.registry_server import RunningRegistry, running_registry, upload
from tests.support.web_server import web_server

MIB = 1 << 20
SLOW = "[registry]\nbandwidth = 8_000_000\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        for name in ("one", "two", "three"):
            upload(server.url, f"tests/{name}", "latest", [(media.MODEL, os.urandom(8 * MIB))])
        yield server


def configure(home: Path, text: str) -> None:
    path = home / "config" / "ollama-tui" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


async def until(engine: Engine, wanted: Callable[[list[PullView]], bool]) -> list[PullView]:
    """Watch the queue until it looks as wanted."""
    async with asyncio.timeout(30), aclosing(engine.pulls()) as states:
        async for views in states:
            if wanted(views):
                return views
    raise AssertionError("the queue was closed")


async def enqueue(engine: Engine, registry: RunningRegistry, *names: str) -> list[str]:
    requests = [PullRequest(f"{registry.host}/tests/{name}", insecure=True) for name in names]
    return [(await engine.pull_enqueue(request)).id for request in requests]


async def test_a_queued_pull_runs_to_its_end(engine: Engine, registry: RunningRegistry) -> None:
    [id] = await enqueue(engine, registry, "one")
    [view] = await until(engine, lambda views: views[0].state == "done")
    assert (view.id, view.name) == (id, f"{registry.host}/tests/one:latest")
    assert view.completed == view.total >= 8 * MIB
    assert view.name in {model.name for model in await engine.models()}


async def test_a_pull_is_paused_and_resumed(engine: Engine, registry: RunningRegistry, home: Path) -> None:
    configure(home, SLOW)
    [id] = await enqueue(engine, registry, "one")
    [running] = await until(engine, lambda views: 0 < views[0].completed < views[0].total)
    assert running.state == "running"
    paused = await engine.pull_pause(id)
    assert paused.state == "paused"
    assert paused.completed >= running.completed
    assert (await engine.pull_resume(id)).state in ("queued", "running")
    [done] = await until(engine, lambda views: views[0].state == "done")
    assert done.completed == done.total


async def test_the_order_of_the_queue_is_changed(engine: Engine, registry: RunningRegistry, home: Path) -> None:
    configure(home, SLOW)
    one, two, three = await enqueue(engine, registry, "one", "two", "three")
    await engine.pull_move(three, 0)
    assert [view.id for view in await until(engine, bool)] == [three, one, two]


async def test_a_cancelled_pull_leaves_what_it_fetched_unless_asked(
    engine: Engine, registry: RunningRegistry, home: Path, tmp_path: Path
) -> None:
    configure(home, SLOW)
    blobs = tmp_path / "models" / "blobs"
    [id] = await enqueue(engine, registry, "one")
    await until(engine, lambda views: 0 < views[0].completed < views[0].total)
    await engine.pull_cancel(id)
    assert await until(engine, lambda views: not views) == []
    assert list(blobs.glob("*-partial"))
    await enqueue(engine, registry, "one")
    await until(engine, lambda views: 0 < views[0].completed < views[0].total)
    await engine.pull_cancel(id, remove_partials=True)
    assert not list(blobs.glob("*-partial"))


async def test_a_link_can_be_queued(engine: Engine, gguf_files: dict[str, Path]) -> None:
    async with web_server({"/Tale-F32.gguf": gguf_files["story"].read_bytes()}) as web:
        await engine.pull_enqueue(PullRequest(f"{web.url}/Tale-F32.gguf", insecure=True))
        [view] = await until(engine, lambda views: views[0].state in ("done", "failed"))
    assert (view.name, view.state, view.error) == ("tale:F32", "done", "")
    assert "tale:F32" in {model.name for model in await engine.models()}


async def test_a_pull_that_fails_says_why(engine: Engine, registry: RunningRegistry) -> None:
    await enqueue(engine, registry, "absent")
    [view] = await until(engine, lambda views: views[0].state == "failed")
    assert view.error == "pull model manifest: file does not exist"
    assert view.hint


async def test_what_is_not_in_the_queue_is_named(engine: Engine) -> None:
    for verb in (
        engine.pull_pause("0123"),
        engine.pull_resume("../x"),
        engine.pull_cancel("0"),
        engine.pull_move("1", 0),
    ):
        with pytest.raises(EngineError, match="there is no pull") as error:
            await verb
        assert error.value.status == 404


async def test_what_is_no_name_is_not_queued(engine: Engine) -> None:
    with pytest.raises(EngineError, match="invalid model name"):
        await engine.pull_enqueue(PullRequest("a b"))
    assert await until(engine, lambda views: True) == []


async def test_the_next_engine_goes_on_with_the_queue(registry: RunningRegistry, home: Path, tmp_path: Path) -> None:
    configure(home, SLOW)
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as engine:
        await enqueue(engine, registry, "one")
        [before] = await until(engine, lambda views: 0 < views[0].completed < views[0].total)
    async with LocalEngine(settings) as engine:
        [after] = await until(engine, bool)
        assert after.completed >= before.completed
        await until(engine, lambda views: views[0].state == "done")


async def test_a_server_without_a_queue_is_told_apart() -> None:
    async with (
        raw_server(http_answer(b"404 page not found", "404 Not Found")) as (_, address),
        RemoteEngine(address) as engine,
    ):
        with pytest.raises(NotSupported, match="keeps no queue of pulls"):
            await anext(engine.pulls())
        with pytest.raises(NotSupported):
            await engine.pull_enqueue(PullRequest("x"))


async def test_a_limit_holds_for_what_runs_already(engine: Engine, registry: RunningRegistry) -> None:
    limits = await engine.limit_transfers(1000)
    assert limits.bandwidth == 1000
    assert limits.free > 0
    await enqueue(engine, registry, "one")
    await until(engine, lambda views: views[0].completed < views[0].total)
    assert (await engine.limit_transfers(0)).bandwidth == 0
    async with asyncio.timeout(10):
        [view] = await until(engine, lambda views: views[0].state == "done")
    assert [layer.completed for layer in view.layers] == [layer.total for layer in view.layers]
    assert (await engine.transfer_limits()).bandwidth == 0
    with pytest.raises(EngineError, match="not negative"):
        await engine.limit_transfers(-1)
