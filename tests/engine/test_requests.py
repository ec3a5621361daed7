"""Requests of a LocalEngine in every state: listed, canceled and gone; also when a runner hangs or is killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from ollama_engine.errors import EngineError, RequestCanceled, RunnerDied
from ollama_engine.local import LocalEngine
from ollama_engine.runner import client
from ollama_engine.settings import Settings
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    DetokenizeRequest,
    EmbedRequest,
    Message,
    RequestView,
    TokenizeRequest,
)
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import runner_processes, until
from tests.support.gguf_models import looping_model

USER = [Message("user", "Tell me.")]
OPTIONS = {"num_ctx": 8192, "num_predict": -1}
"""An answer of 80,000 tokens."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CANCEL_GRACE", 0.3)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    """Two models that never end, and room for one of them."""
    settings = Settings(models=tmp_path / "models", max_loaded_models=1, num_parallel=1)
    async with LocalEngine(settings) as engine:
        for name in ("one", "two"):
            await import_gguf(
                engine, name, looping_model(tmp_path / f"{name}.gguf", f"{name} and {name}, ", context_length=8192)
            )
        yield engine
    assert runner_processes() == []


class Asking:
    """A chat in a task of its own. `chunks` are those that have come."""

    def __init__(self, engine: LocalEngine, model: str = "one", **options: object) -> None:
        self.chunks: list[ChatChunk] = []
        request = ChatRequest(model, USER, options={**OPTIONS, **options})
        self.task = asyncio.create_task(self._ask(engine, request))

    async def _ask(self, engine: LocalEngine, request: ChatRequest) -> None:
        async for chunk in engine.chat(request):
            self.chunks.append(chunk)

    async def end(self) -> BaseException | str:
        """Its error, or why it ended."""
        async with asyncio.timeout(15):
            [error] = await asyncio.gather(self.task, return_exceptions=True)
        return error or self.chunks[-1].done_reason


async def view_in(engine: LocalEngine, state: str, model: str = "one") -> RequestView:
    """The request for that model once it is in that state."""

    def found() -> list[RequestView]:
        return [view for view in views if (view.state, view.model) == (state, model)]

    views: list[RequestView] = []
    async with asyncio.timeout(15):
        while not found():
            views = await engine.requests()
            await asyncio.sleep(0.005)
    return found()[0]


async def nothing_runs(engine: LocalEngine) -> bool:
    return not await engine.running() and not runner_processes()


async def process_of(engine: LocalEngine) -> int:
    """The process of the one model that is there, or comes."""
    found: list[int] = []

    def there() -> bool:  # a process that is just being made may be seen once and not again
        found[:] = [process.pid for process in runner_processes()]
        return bool(found)

    await until(there)
    return found[0]


@contextlib.asynccontextmanager
async def hanging(engine: LocalEngine) -> AsyncIterator[int]:
    """The runner is there and does nothing."""
    process = await process_of(engine)
    os.kill(process, signal.SIGSTOP)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


async def test_one_that_waits_for_room_can_be_canceled(engine: LocalEngine) -> None:
    first = Asking(engine, "one")
    await view_in(engine, "generating", "one")
    second = Asking(engine, "two")

    async def is_next() -> bool:
        return (await view_in(engine, "queued", "two")).position == 1

    await until(is_next)
    await engine.cancel((await view_in(engine, "queued", "two")).id)
    assert isinstance(await second.end(), RequestCanceled)
    await engine.cancel((await engine.requests())[0].id)
    assert await first.end() == "canceled"
    assert (await engine.running())[0].name == "one:latest"


async def test_one_whose_model_is_loading_can_be_canceled_and_the_load_ends_with_it(engine: LocalEngine) -> None:
    asking = Asking(engine)
    view = await view_in(engine, "loading")
    async with hanging(engine):
        await engine.cancel(view.id)
        assert isinstance(await asking.end(), RequestCanceled)
        assert await engine.requests() == []
    await until(lambda: nothing_runs(engine))


async def test_one_whose_runner_hangs_over_its_prompt_can_be_canceled(engine: LocalEngine) -> None:
    await engine.load("one")
    async with hanging(engine):
        asking = Asking(engine)
        await engine.cancel((await view_in(engine, "prompt")).id)
        ended = await asking.end()
        assert ended == "canceled" or isinstance(ended, RequestCanceled)


async def test_one_whose_runner_hangs_over_its_answer_can_be_canceled(engine: LocalEngine) -> None:
    asking = Asking(engine)
    view = await view_in(engine, "generating")
    async with hanging(engine):
        await engine.cancel(view.id)
        assert await engine.requests() == []
        assert isinstance(await asking.end(), RequestCanceled)


ASKED: dict[str, Callable[[LocalEngine], Awaitable[object]]] = {
    "embed": lambda engine: engine.embed(EmbedRequest("one", "some text")),
    "tokenize": lambda engine: engine.tokenize(TokenizeRequest("one", "some text")),
    "detokenize": lambda engine: engine.detokenize(DetokenizeRequest("one", [65, 66])),
    "count": lambda engine: engine.count_tokens(ChatRequest("one", USER)),
    "load": lambda engine: engine.load("one"),
}


@pytest.mark.parametrize("verb", ASKED)
async def test_whatever_a_model_is_asked_can_be_canceled(engine: LocalEngine, verb: str) -> None:
    task = asyncio.ensure_future(ASKED[verb](engine))
    async with hanging(engine):
        [view] = await engine.requests()
        assert view.kind == {"detokenize": "tokenize", "count": "tokenize"}.get(verb, verb)
        await engine.cancel(view.id)
        with pytest.raises(RequestCanceled):
            await asyncio.wait_for(task, 15)
    assert await engine.requests() == []


@pytest.mark.parametrize("state", ["loading", "generating"])
async def test_a_runner_that_is_killed_ends_those_it_has_and_the_others_get_another(
    engine: LocalEngine, state: str
) -> None:
    asking = [Asking(engine) for _ in range(5)]
    await view_in(engine, state)
    os.kill(await process_of(engine), signal.SIGKILL)
    # Who came first is not who was asked first: each reads the model's file in a thread.
    died, _ = await asyncio.wait([each.task for each in asking], timeout=15, return_when=asyncio.FIRST_COMPLETED)
    ended = [task.exception() for task in died]
    assert ended
    assert all(isinstance(error, RunnerDied if state == "generating" else EngineError) for error in ended), ended

    async def all_ended() -> bool:
        views = await engine.requests()
        if view := next((view for view in views if view.state == "generating"), None):
            await engine.cancel(view.id)
        return not views

    await until(all_ended, 20)
    ends = [await each.end() for each in asking]
    assert all(end == "canceled" or isinstance(end, EngineError) for end in ends)
    if state == "generating":  # who had no place in the dead runner has been answered by the next one
        assert ends.count("canceled") >= 3


async def test_a_runner_that_is_killed_while_it_is_idle_or_going_is_no_loss(engine: LocalEngine) -> None:
    await engine.load("one")
    os.kill(await process_of(engine), signal.SIGKILL)
    asking = Asking(engine)
    await view_in(engine, "generating")
    async with hanging(engine) as process:
        unloading = asyncio.create_task(engine.unload("one"))
        await asyncio.sleep(0)
        os.kill(process, signal.SIGKILL)
        assert isinstance(await asking.end(), RunnerDied)
        await asyncio.wait_for(unloading, 15)
    await until(lambda: nothing_runs(engine))


async def test_a_reader_that_does_not_read_keeps_no_slot(engine: LocalEngine) -> None:
    """Its answer is there; whoever waits for the slot must not wait for the reader."""
    stream = engine.chat(ChatRequest("one", USER, options={"num_ctx": 128, "num_predict": 50}))
    await anext(stream)
    other = Asking(engine, num_predict=10)
    assert await other.end() == "length"
    assert [view.id for view in await engine.requests()] == []
    rest = [chunk async for chunk in stream]
    assert rest[-1].eval_count == 50


async def test_a_caller_that_is_cancelled_itself_is_not_taken_for_canceled(engine: LocalEngine) -> None:
    asking = Asking(engine)
    await view_in(engine, "loading")
    asking.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking.task
    await until(lambda: nothing_runs(engine))
    assert await engine.requests() == []
