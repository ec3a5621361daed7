"""The contract of listing and cancelling requests, and of pinning, whichever engine does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import ModelNotFound, NotFound, NotSupported, RequestCanceled
from ollama_engine.remote import RemoteEngine
from ollama_engine.types import ChatChunk, ChatRequest, Message, RequestView
from tests.engine.contract.conftest import TEXT
from tests.engine.runner.running import until
from tests.support.raw_server import http_answer, raw_server

USER = [Message("user", "Tell me.")]


async def seen(engine: Engine, wanted: Callable[[list[RequestView]], bool]) -> list[RequestView]:
    """Ask what it works on until that looks as wanted."""
    views: list[RequestView] = []

    async def look() -> bool:
        views[:] = await engine.requests()
        return wanted(views)

    await until(look, 20)
    return views


def endless(model: str, **options: object) -> ChatRequest:
    return ChatRequest(model, USER, options={"num_predict": 1_000_000, **options})


async def answer(engine: Engine, request: ChatRequest) -> list[ChatChunk]:
    return [chunk async for chunk in engine.chat(request)]


async def test_what_runs_is_listed_with_how_far_it_is(engine: Engine, loop: str) -> None:
    assert await engine.requests() == []
    async with aclosing(engine.chat(endless(loop))) as chunks:
        await anext(chunks)
        [view] = await seen(engine, lambda views: bool(views) and views[0].tokens_per_second > 0)
        assert (view.kind, view.model, view.state, view.position) == ("chat", loop, "generating", 0)
        assert view.prompt_tokens > 3
        assert view.output_tokens > 1
        assert view.client
        assert view.created_at.endswith("Z")
        [later] = await seen(engine, lambda views: views[0].output_tokens > view.output_tokens)
        assert later.id == view.id
    assert await seen(engine, lambda views: not views) == []


async def test_a_canceled_answer_ends_with_what_was_said_so_far(engine: Engine, loop: str) -> None:
    async with aclosing(engine.chat(endless(loop))) as chunks:
        first = await anext(chunks)
        [view] = await engine.requests()
        await engine.cancel(view.id)
        assert await engine.requests() == []
        rest = [chunk async for chunk in chunks]
    assert first.message.content
    last = rest[-1]
    assert (last.done, last.done_reason) == (True, "canceled")
    assert last.eval_count > 0
    [running] = await engine.running()
    assert (running.state, running.slots_busy) == ("idle", 0)
    with pytest.raises(NotFound, match="there is no request"):
        await engine.cancel(view.id)


async def test_one_that_waits_for_a_slot_is_listed_in_its_place_and_can_be_canceled(engine: Engine, loop: str) -> None:
    slots = 0
    tasks: list[asyncio.Task[list[ChatChunk]]] = []
    async with aclosing(engine.chat(endless(loop))) as chunks:
        await anext(chunks)
        slots = (await engine.running())[0].slots
        tasks = [asyncio.create_task(answer(engine, endless(loop))) for _ in range(slots + 3)]
        waiting = await seen(engine, lambda views: sum(view.state == "waiting" for view in views) == 4)
        positions = sorted(view.position for view in waiting if view.state == "waiting")
        assert positions == [1, 2, 3, 4]
        assert (await engine.running())[0].queued == 4
        ids = {view.position: view.id for view in waiting}
        await engine.cancel(ids[4])  # it is not with the runner yet
        await engine.cancel(ids[1])  # and that one is
        await seen(engine, lambda views: max(view.position for view in views) == 2)
        await until(lambda: sum(task.done() for task in tasks) >= 2)
        for view in await engine.requests():
            await engine.cancel(view.id)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    reasons = [end[-1].done_reason if isinstance(end, list) else type(end) for end in ends]
    assert set(reasons) <= {"canceled", RequestCanceled}
    assert RequestCanceled in reasons
    assert await engine.requests() == []


async def test_ids_are_never_used_twice(engine: Engine, loop: str) -> None:
    ids: set[str] = set()
    for _ in range(3):
        async with aclosing(engine.chat(endless(loop))) as chunks:
            await anext(chunks)
            [view] = await seen(engine, lambda views: len(views) == 1 and views[0].id not in ids)
            ids.add(view.id)
    assert len(ids) == 3


@pytest.mark.parametrize("id", ["", "nobody", "../models", "a/b", "%2e%2e", "x" * 500, "ä"])
async def test_what_is_no_request_cannot_be_canceled(engine: Engine, id: str) -> None:
    with pytest.raises(NotFound, match="there is no request") as caught:
        await engine.cancel(id)
    assert "requests" in caught.value.hint


async def test_a_pinned_model_stays_whatever_its_keep_alive_says(engine: Engine, story: str, loop: str) -> None:
    await engine.pin(story)
    [running] = await engine.running()
    assert (running.name, running.pinned, running.state) == (f"{story}:latest", True, "idle")
    assert running.expires_at > "2200"
    chunks = await answer(engine, ChatRequest(story, USER, keep_alive=0))
    assert "".join(chunk.message.content for chunk in chunks) == TEXT
    await engine.load(loop)
    assert {model.name: model.pinned for model in await engine.running()} == {
        "story:latest": True,
        "loop:latest": False,
    }
    await engine.pin(story, pinned=False)
    await engine.pin(loop)
    await engine.unload(loop)
    remaining = await engine.running()
    assert all((model.name, model.pinned) == ("story:latest", False) for model in remaining)
    assert all(model.expires_at < "2200" for model in remaining)


async def test_a_model_that_is_not_there_cannot_be_pinned(engine: Engine) -> None:
    for pinned in (True, False):
        with pytest.raises(ModelNotFound):
            await engine.pin("absent", pinned=pinned)


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed"])
async def test_a_server_that_knows_none_of_it_is_named(status: str) -> None:
    body = b"404 page not found" if status.startswith("404") else b"405 method not allowed"
    async with raw_server(http_answer(body, status)) as (_, address), RemoteEngine(address) as remote:
        for verb in (remote.requests(), remote.cancel("abc"), remote.pin("m")):
            with pytest.raises(NotSupported, match="the server at") as caught:
                await verb
            assert caught.value.hint
