"""The service of pulls: on the engine's own queue with a real registry, and on a server that keeps no queue."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, NotSupported, StoreError
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.store import manifest as media
from ollama_engine.types import PullRequest, PullView, TransferLimits, TransferProgress
from ollama_tui.services import EngineLink, LibraryService, PullsService
from ollama_tui.services.pull_progress import Courses, Pull
from ollama_tui.services.pulls import PullsView
from tests.support.demo_engine import DemoEngine
from tests.support.registry_proxy import Exchange, running_proxy
from tests.support.registry_server import RunningRegistry, running_registry, upload

MIB = 1 << 20
SLOW = "[registry]\nconnections = 2\nbandwidth = 8_000_000\nbackoff = 0.05\nattempts = 2\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        for name in ("one", "two", "three"):
            layers = [(media.MODEL, os.urandom(6 * MIB)), (media.LICENSE, os.urandom(2 * MIB))]
            upload(server.url, f"tests/{name}", "latest", layers)
        yield server


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "config" / "ollama-tui"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(SLOW)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@asynccontextmanager
async def service(engine: Engine) -> AsyncGenerator[PullsService, None]:
    link = EngineLink.to(engine, "here")
    pulls = PullsService(link, LibraryService(link), clock=asyncio.get_running_loop().time, pace=0.01)
    try:
        yield pulls
    finally:
        await pulls.aclose()
        await link.aclose()


async def until(pulls: PullsService, wanted: Callable[[PullsView], object]) -> PullsView:
    async with asyncio.timeout(30):
        async for view in pulls.view.watch():
            if wanted(view):
                return view
    raise AssertionError


def state(view: PullsView) -> list[str]:
    return [pull.view.state for pull in view.pulls]


@pytest.mark.usefixtures("slow")
async def test_a_pull_is_followed_to_its_end_and_told(registry: RunningRegistry, tmp_path: Path) -> None:
    async with service(LocalEngine(Settings(models=tmp_path / "models"))) as pulls:
        name = f"{registry.host}/tests/one"
        view = await pulls.enqueue(name, insecure=True)
        parts: list[float] = []
        layers: dict[str, int] = {}

        def done(seen: PullsView) -> bool:
            [pull] = seen.pulls
            parts.append(pull.part)
            for layer in pull.view.layers:
                assert layer.completed >= layers.get(layer.digest, 0)
                layers[layer.digest] = layer.completed
            return pull.view.state == "done"

        [pull] = (await until(pulls, done)).pulls
        assert parts == sorted(parts)
        assert len(set(parts)) > 3
        assert any(pull.history)
        assert max(filter(None, pull.history)) < 16_000_000
        assert sorted(layer.total for layer in pull.view.layers)[-2:] == [2 * MIB, 6 * MIB]
        async with aclosing(pulls.ended()) as ended:
            assert (await anext(ended)).view.id == view.id
        await until(pulls, lambda _: not pulls.following)
        assert await pulls.clear() == 1
        assert pulls.view.value.pulls == ()


class PlainEngine(DemoEngine):
    """Keeps no queue; a pull goes on a step whenever `gate` lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.open = 0
        self.fails: EngineError | None = None
        refusal = NotSupported("keeps no queue of pulls")
        self.queue.failures = {verb: refusal for verb in ("pulls", "pull_enqueue")}

    async def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        self.open += 1
        try:
            yield TransferProgress("pulling manifest")
            for digest, total in (("sha256:aa", 1000), ("sha256:bb", 4000)):
                for part in (0, 0.5, 1):
                    assert self.gate is not None
                    await self.gate.acquire()
                    if self.fails is not None:
                        raise self.fails
                    yield TransferProgress(f"pulling {digest}", digest, total, int(total * part))
            yield TransferProgress("success")
        finally:
            self.open -= 1


async def test_a_server_without_a_queue_is_pulled_from_all_the_same() -> None:
    engine = PlainEngine()
    async with service(engine) as pulls:
        assert engine.gate is not None
        one, two, three = [(await pulls.enqueue(name)).id for name in ("one", "two", "three")]
        assert not (await until(pulls, lambda view: state(view) == ["running", "running", "queued"])).kept
        await pulls.move(three, 0)
        await pulls.pause(one)
        view = await until(pulls, lambda view: sorted(state(view)) == ["paused", "running", "running"])
        assert [pull.view.id for pull in view.pulls] == [three, one, two]
        with pytest.raises(NotSupported, match="keeps what it has fetched"):
            await pulls.cancel(two, remove_partials=True)
        await pulls.cancel(two)
        for _ in range(6):
            engine.gate.release()
        await until(pulls, lambda view: state(view) == ["done", "paused"])
        engine.fails = EngineError("the line was cut", hint="Try again.")
        engine.gate.release()
        await pulls.resume(one)
        failed = (await until(pulls, lambda view: state(view) == ["done", "failed"])).pulls[1].view
        assert (failed.error, failed.hint) == ("the line was cut", "Try again.")
        engine.fails = None
        await pulls.retry(one)
        await until(pulls, lambda view: state(view) == ["done", "running"])
    assert engine.open == 0


async def test_a_share_never_goes_back_where_layers_are_told_one_after_another() -> None:
    engine = PlainEngine()
    async with service(engine) as pulls:
        assert engine.gate is not None
        await pulls.enqueue("one")
        parts = [0.0]
        for _ in range(6):
            engine.gate.release()
            before = pulls.view.value.pulls[0].view
            await until(pulls, lambda view, before=before: view.pulls[0].view != before)
            parts.append(pulls.view.value.pulls[0].part)
        assert parts == sorted(parts)
        await until(pulls, lambda view: view.pulls[0].part == 1.0)


@pytest.mark.usefixtures("slow")
async def test_pulls_are_paused_moved_cancelled_and_limited_while_they_run(
    registry: RunningRegistry, tmp_path: Path
) -> None:
    async with service(LocalEngine(Settings(models=tmp_path / "models"))) as pulls:
        names = [f"{registry.host}/tests/{name}" for name in ("one", "two", "three")]
        one, two, three = [(await pulls.enqueue(name, insecure=True)).id for name in names]
        await until(pulls, lambda view: state(view) == ["running", "running", "queued"])
        await pulls.move(three, 0)
        await until(pulls, lambda view: [pull.view.id for pull in view.pulls] == [three, one, two])
        await pulls.pause(two)
        await until(pulls, lambda view: state(view) == ["running", "running", "paused"])
        await pulls.cancel(one, remove_partials=True)
        assert (pulls.view.value.limits or TransferLimits()).free > 0
        await pulls.limit(0)
        await pulls.resume(two)
        await until(pulls, lambda view: state(view) == ["done", "done"])
        with pytest.raises(StoreError, match="of disk is free"):
            await pulls.enqueue("large", size=1 << 60)


@pytest.mark.usefixtures("slow")
async def test_a_line_that_is_cut_fails_with_a_way_out_and_a_retry_goes_on(
    registry: RunningRegistry, tmp_path: Path
) -> None:
    cut = True

    async def fault(exchange: Exchange) -> None:
        async with exchange.reply() as reply:
            await exchange.begin(reply.status, reply.headers)
            async for chunk in reply.body:
                if cut and exchange.seen.is_blob and proxy.sent > 6 * MIB:
                    await exchange.drop()
                await exchange.send(chunk)

    engine = LocalEngine(Settings(models=tmp_path / "models"))
    async with running_proxy(registry.host, fault) as proxy, service(engine) as pulls:
        id = (await pulls.enqueue(f"{proxy.host}/tests/one", insecure=True)).id
        failed = (await until(pulls, lambda view: state(view) == ["failed"])).pulls[0]
        assert failed.view.error.startswith("cannot pull blob")
        assert "try again" in failed.view.hint
        assert 0 < failed.view.completed < failed.view.total
        sent, cut = proxy.sent, False
        await pulls.retry(id)
        await until(pulls, lambda view: state(view) == ["done"])
        assert proxy.sent - sent <= failed.view.total - failed.view.completed, "what came is not fetched again"
        ended = [pull.view.state async for pull in _some(pulls, 2)]
        assert ended == ["failed", "done"]


async def _some(pulls: PullsService, count: int) -> AsyncGenerator[Pull, None]:
    async with aclosing(pulls.ended()) as ended:
        for _ in range(count):
            yield await anext(ended)


def test_what_would_take_for_ever_has_no_time_left() -> None:
    view = PullView(id="1", name="one", state="running", total=10**9, completed=23, rate=4.0)
    assert Courses().take([view], 0.0)[0].eta is None
    view = PullView(id="1", name="one", state="running", total=10**9, completed=23, rate=1e6)
    assert Courses().take([view], 0.0)[0].eta == pytest.approx(1000, rel=0.01)
