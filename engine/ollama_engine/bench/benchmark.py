"""`benchmark`: measures every cell of a plan on any engine, and tells how it goes.

    async with contextlib.aclosing(benchmark(engine, plan, where="this machine", embedded=True)) as events:
        async for event in events:
            run = record(run, event)

A cell that cannot be measured is recorded with its reason, and the rest goes on. Closing the generator cancels what
runs. A server that is gone ends it all: ServerUnreachable.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from random import Random

from msgspec import structs

from ollama_engine.bench import plan as plans
from ollama_engine.bench import surroundings
from ollama_engine.bench.events import (
    CellFinished,
    CellStarted,
    Event,
    Finished,
    Loaded,
    Loading,
    RoundFinished,
    Speed,
    Started,
)
from ollama_engine.bench.held import failure_text, memory_of
from ollama_engine.bench.loading import Loader
from ollama_engine.bench.measure import Pace, round_of
from ollama_engine.bench.prompts import Prompt, PromptMaker
from ollama_engine.bench.records import Cell, CellResult, Load, Memory, Plan, Sample
from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidRequest, ServerUnreachable
from ollama_engine.types import GenerateRequest, ModelSummary

Events = AsyncGenerator[Event, None]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


async def benchmark(
    engine: Engine, plan: Plan, *, where: str, embedded: bool, clock: Callable[[], str] = now
) -> Events:
    """Measure all of `plan`; the last event is Finished.

    Args:
        where, embedded: as `surroundings.look`.
        clock: the moment, as RFC 3339.

    Raises:
        InvalidRequest: a plan that makes no sense.
        ServerUnreachable: nobody answers (any more).
    """
    plan = plans.check(plan)
    stored = await engine.models()
    plan = structs.replace(
        plan,
        models=tuple(_whole_name(name, stored) for name in plan.models),
        seed=plan.seed or secrets.randbits(31) or 1,
    )
    cells = plans.cells(plan)
    yield Started(
        clock(),
        plan,
        await surroundings.look(engine, where, embedded=embedded),
        {model.name: model.digest for model in stored if model.name in plan.models},
        cells,
        tuple(found.text for found in await surroundings.disturbances(engine)),
    )
    loader = Loader(engine, await _in_memory(engine))
    for model in plan.models:
        for options in plan.options:
            group = [index for index, cell in enumerate(cells) if (cell.model, cell.options) == (model, options)]
            yield Loading(model, options)
            load = await loader.load(model, options, plan.loads)
            yield Loaded(load)
            async with contextlib.aclosing(_group(engine, plan, cells, group, load)) as events:
                async for event in events:
                    yield event
            await loader.leave(model)
    yield Finished(clock())


async def _group(engine: Engine, plan: Plan, cells: tuple[Cell, ...], group: Iterable[int], load: Load) -> Events:
    """All cells of one model with one set of options, which is in memory."""
    maker = PromptMaker(engine, load.model, load.options)
    for index in group:
        result = CellResult(cell=cells[index], state="running")
        if load.failure:
            yield CellFinished(index, structs.replace(result, state="failed", failure=load.failure))
            continue
        yield CellStarted(index)
        try:
            async with contextlib.aclosing(_cell(engine, plan, index, cells[index], maker, load.memory)) as events:
                async for event in events:
                    if isinstance(event, RoundFinished):
                        result = structs.replace(result, samples=(*result.samples, *event.samples))
                    if isinstance(event, CellFinished):
                        result = event.result
                    else:
                        yield event
        except ServerUnreachable:
            raise
        except EngineError as error:
            result = structs.replace(result, state="failed", failure=failure_text(error))
        yield CellFinished(index, result)


async def _cell(
    engine: Engine, plan: Plan, index: int, cell: Cell, maker: PromptMaker, memory: Memory | None
) -> Events:
    _check_context(cell, memory)
    notes = await surroundings.others(engine)
    if memory is not None and 0 < memory.slots < cell.concurrency:
        notes.append(f"{memory.slots} are answered at once, the others wait in line")
    warmups = max(plan.warmups, 1) if cell.warm else plan.warmups
    samples: tuple[Sample, ...] = ()
    for number in range(-warmups, plan.repeats):
        prompts = [
            await maker.make(cell.prompt, _random(plan, index, cell, number, n)) for n in range(cell.concurrency)
        ]
        requests = [_request(plan, cell, prompt, number, n) for n, prompt in enumerate(prompts)]
        async with contextlib.aclosing(round_of(engine, requests, number)) as steps:
            async for step in steps:
                if isinstance(step, Pace):
                    wanted = cell.generate * cell.concurrency
                    yield Speed(index, number, step.seconds, step.rate, step.tokens, wanted)
                elif number >= 0:
                    samples = (*samples, *step)
                    yield RoundFinished(index, step)
    notes += _surprises(cell, samples)
    notes += await surroundings.others(engine)
    held = await memory_of(engine, cell.model) or memory
    done = CellResult(cell=cell, state="done", samples=samples, memory=held, notes=tuple(dict.fromkeys(notes)))
    yield CellFinished(index, done)


def _random(plan: Plan, index: int, cell: Cell, number: int, stream: int) -> Random:
    """Words of a prompt: the same in every round where the prefix cache shall know them."""
    return Random(f"{plan.seed} {index} {'warm' if cell.warm else number} {stream}")


def _request(plan: Plan, cell: Cell, prompt: Prompt, number: int, stream: int) -> GenerateRequest:
    options = {
        **cell.options,
        "num_predict": cell.generate,
        "stop": [],
        "seed": (plan.seed + 1000 * (number + plan.warmups + 1) + stream) % 2**31,
    }
    if plan.ignore_eos:
        options["ignore_eos"] = True
    return GenerateRequest(cell.model, prompt.text, raw=True, options=options, shift=False)


def _check_context(cell: Cell, memory: Memory | None) -> None:
    room = memory.context if memory is not None else 0
    need = cell.prompt + cell.generate
    if room and need > room:
        raise InvalidRequest(
            f"{cell.prompt} tokens of prompt and {cell.generate} of answer need a context of {need}, and it is {room}",
            hint=f"Give the option num_ctx={need}, where the model can.",
        )


def _surprises(cell: Cell, samples: Iterable[Sample]) -> list[str]:
    """Where it was not what had been asked for."""
    prompts = sorted({sample.prompt_tokens for sample in samples})
    answers = sorted({sample.tokens for sample in samples})
    found: list[str] = []
    if prompts and prompts != [cell.prompt]:
        found.append(f"prompts had {_range(prompts)} tokens")
    if answers and answers != [cell.generate]:
        found.append(f"answers had {_range(answers)} tokens")
    return found


def _range(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _whole_name(name: str, stored: Iterable[ModelSummary]) -> str:
    """As the store has it, so that two runs call it the same."""
    names = {model.name for model in stored}
    return f"{name}:latest" if name not in names and f"{name}:latest" in names else name


async def _in_memory(engine: Engine) -> set[str]:
    return {model.name for model in await engine.running()}
