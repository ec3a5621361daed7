"""Real, tiny models measured on both engines: counts are exact, failures are told, closing cancels."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ollama_engine.bench import Plan, Run, benchmark, record
from ollama_engine.bench.events import CellStarted, Event, Finished, Speed, Started
from ollama_engine.bench.prompts import PromptMaker
from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, NotSupported
from ollama_engine.types import (
    Device,
    GenerateChunk,
    GenerateRequest,
    RequestView,
    TokenizeRequest,
    TokenizeResponse,
)
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import until
from tests.support.gguf_models import looping_model, scripted_model


async def measured(engine: Engine, plan: Plan) -> tuple[Run, list[Event]]:
    run, events = None, []
    async for event in benchmark(engine, plan, where="here", embedded=True):
        run = record(run, event)
        events.append(event)
    assert run is not None
    return run, events


async def nothing_runs(engine: Engine) -> bool:
    return not await engine.requests()


async def test_prompts_have_exactly_the_tokens_asked_for_and_differ(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "bytes", looping_model(tmp_path / "bytes.gguf"))
    for model in ("bard", "bytes"):
        maker, seen = PromptMaker(engine, model, {}), set()
        for tokens in (4, 5, 17, 128, 333):
            for seed in range(2):
                prompt = await maker.make(tokens, Random(seed))
                asked = TokenizeRequest(model, prompt.text, add_special=True)
                assert len((await engine.tokenize(asked)).tokens) == prompt.tokens == tokens
                seen.add(prompt.text[:20])
        assert len(seen) > 2


async def test_a_matrix_is_measured_whole_with_exact_counts(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "short", scripted_model(tmp_path / "short.gguf", "Hi."), parameters={"stop": ["."]})
    plan = Plan(models=("bard", "short"), prompts=(16, 48), generates=(12,), concurrencies=(1, 3), repeats=2)
    run, events = await measured(engine, plan)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert [result.state for result in run.cells] == ["done"] * 8
    for result in run.cells:
        cell = result.cell
        assert len(result.samples) == 2 * cell.concurrency
        assert {sample.prompt_tokens for sample in result.samples} == {cell.prompt}
        assert {sample.tokens for sample in result.samples} == {12}
        assert max(sample.cached_tokens for sample in result.samples) < cell.prompt / 2
        assert all(sample.prompt_ns > 0 and 0 < sample.first_token_ns <= sample.total_ns for sample in result.samples)
        assert result.memory is not None
        assert result.memory.size > 0
        assert not result.notes
    assert [load.model for load in run.loads] == ["bard:latest", "short:latest"]
    assert all(len(load.times_ns) == 1 and load.times_ns[0] > 0 for load in run.loads)
    assert run.digests.keys() == {"bard:latest", "short:latest"}
    assert await engine.running() == []


async def test_a_warm_prompt_comes_from_the_prefix_cache(engine: Engine) -> None:
    run, _ = await measured(engine, Plan(models=("bard",), prompts=(64,), generates=(4,), repeats=2, warm=True))
    assert all(50 < sample.cached_tokens < 64 for sample in run.cells[0].samples)


async def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(engine: Engine) -> None:
    plan = Plan(models=("nobody", "bard"), prompts=(16, 400), generates=(8,), options=({"num_ctx": 256},), repeats=1)
    run, _ = await measured(engine, plan)
    assert [result.state for result in run.cells] == ["failed", "failed", "done", "failed"]
    assert "'nobody' not found" in run.cells[0].failure
    assert "need a context of 408, and it is 256. Give the option num_ctx=408" in run.cells[3].failure
    assert run.failures == 3


async def test_answers_that_end_themselves_have_the_counts_they_had(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "short", scripted_model(tmp_path / "short.gguf", "A short answer."))
    run, _ = await measured(
        engine, Plan(models=("short",), prompts=(16,), generates=(40,), repeats=1, ignore_eos=False)
    )
    [sample] = run.cells[0].samples
    assert sample.tokens < 40
    assert run.cells[0].notes == (f"answers had {sample.tokens} tokens",)


class Plainer:
    """An engine that has no more than Ollama's own server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        raise NotSupported("no tokenize")

    async def devices(self) -> list[Device]:
        raise NotSupported("no devices")

    async def requests(self) -> list[RequestView]:
        raise NotSupported("no requests")

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        (request.options or {}).pop("ignore_eos", None)
        return self._engine.generate(request)


async def test_a_server_with_less_is_measured_by_the_counts_it_tells(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "short", scripted_model(tmp_path / "short.gguf", "A short answer."))
    plainer: Any = Plainer(engine)
    run, _ = await measured(plainer, Plan(models=("short",), prompts=(16,), generates=(40,), repeats=1))
    [sample] = run.cells[0].samples
    assert run.cells[0].state == "done"
    assert run.cells[0].notes == (
        f"prompts had {sample.prompt_tokens} tokens",
        f"answers had {sample.tokens} tokens",
    )
    assert run.surroundings.devices == ()


async def test_closing_it_cancels_what_runs(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
    plan = Plan(models=("loop",), prompts=(16,), generates=(4000,), concurrencies=(2,), repeats=1000)
    events = benchmark(engine, plan, where="here", embedded=True)
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Speed):
                break
    await until(lambda: nothing_runs(engine))


async def test_others_at_work_are_noted_and_their_model_is_not_taken_away(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
    other = engine.generate(GenerateRequest("loop", "x"))
    async with contextlib.aclosing(other):
        await anext(other)
        run, _ = await measured(engine, Plan(models=("loop",), prompts=(16,), generates=(4,), repeats=1))
        assert "1 other request at work" in run.warnings
        assert run.cells[0].notes == ("1 other request at work",)
        assert run.loads[0].notes == ("it answers somebody else: its load was not measured",)
        assert run.loads[0].times_ns == ()
        await anext(other)
        assert [model.name for model in await engine.running()] == ["loop:latest"]


async def test_a_plan_that_is_wrong_is_refused_before_anything_is_asked(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="no model to measure"):
        await measured(engine, Plan(models=("  ",)))


def test_events_before_the_start_are_no_run() -> None:
    assert record(None, CellStarted(0)) is None
