"""Two runs compared, figure by figure: better, worse, or no difference that the measurements can show.

A difference of medians counts only where it is larger than the spread (the larger of the two interquartile ranges) and
larger than LEAST, and where both sides have FEWEST measurements or more; memory, which does not vary, needs one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from ollama_engine.bench.metrics import MEMORY, METRICS, load_time
from ollama_engine.bench.plan import options_text
from ollama_engine.bench.records import CellResult, Load, Run
from ollama_engine.bench.statistics import Summary

LEAST = 0.01
"""Part of the figure before; less is nothing, however little the measurements vary."""
FEWEST = 3

Verdict = Literal["better", "worse", "same", "unsure", "failed", "new", "gone"]
"""`same`: within the spread; `unsure`: too few measurements to tell; `failed`: measured before, and not any more."""


class Difference(Struct, frozen=True, kw_only=True):
    """One figure of one cell, before and after. `change` is a part of the figure before: -0.1 is ten percent less."""

    model: str
    options: str
    prompt: int = 0
    generate: int = 0
    concurrency: int = 0
    metric: str
    unit: str
    before: Summary | None = None
    after: Summary | None = None
    change: float | None = None
    verdict: Verdict
    reason: str = ""


class Comparison(Struct, frozen=True, kw_only=True):
    """`before` and `after` are numbers of runs; `warnings` say what else was not the same."""

    before: int
    after: int
    warnings: tuple[str, ...]
    differences: tuple[Difference, ...]

    def worse(self, percent: float = 0.0) -> tuple[Difference, ...]:
        """What became worse by more than `percent`, and what cannot be measured any more."""
        return tuple(
            one
            for one in self.differences
            if one.verdict == "failed"
            or (one.verdict == "worse" and one.change is not None and abs(one.change) * 100 > percent)
        )


def compare(before: Run, after: Run) -> Comparison:
    """What `after` has of the cells that `before` has as well, and which of them only one has."""
    return Comparison(
        before=before.id,
        after=after.id,
        warnings=tuple(_warnings(before, after)),
        differences=(*_loads(before.loads, after.loads), *_cells(before.cells, after.cells)),
    )


def judge(before: Summary, after: Summary, *, rising: bool, fewest: int = FEWEST) -> tuple[float | None, Verdict]:
    """The change and what it means; `rising` tells whether more is better."""
    change = (after.median - before.median) / before.median if before.median else None
    if min(before.count, after.count) < fewest:
        return change, "unsure"
    difference = after.median - before.median
    if abs(difference) <= max(before.spread, after.spread, LEAST * abs(before.median)):
        return change, "same"
    return change, "better" if (difference > 0) == rising else "worse"


def _cells(before: Iterable[CellResult], after: Iterable[CellResult]) -> Iterable[Difference]:
    earlier = {result.cell.key: result for result in before}
    for result in after:
        old = earlier.pop(result.cell.key, None)
        if result.state == "failed":
            if old is not None and old.state == "done":
                yield _difference(result, "-", "", "failed", reason=result.failure)
            continue
        if old is None or old.state != "done":
            if result.state == "done":
                yield _difference(result, "-", "", "new")
            continue
        for metric in METRICS:
            was, is_now = metric.of(old), metric.of(result)
            if was is None and is_now is None:
                continue
            change, verdict = None, "new" if was is None else "gone"
            if was is not None and is_now is not None:
                fewest = 1 if metric is MEMORY else FEWEST
                change, verdict = judge(was, is_now, rising=metric.rising, fewest=fewest)
            yield _difference(result, metric.id, metric.unit, verdict, was, is_now, change)
    for result in earlier.values():
        if result.state == "done":
            yield _difference(result, "-", "", "gone")


def _difference(
    result: CellResult,
    metric: str,
    unit: str,
    verdict: Verdict,
    before: Summary | None = None,
    after: Summary | None = None,
    change: float | None = None,
    reason: str = "",
) -> Difference:
    cell = result.cell
    return Difference(
        model=cell.model,
        options=" ".join(part for part in (options_text(cell.options), "warm" if cell.warm else "") if part),
        prompt=cell.prompt,
        generate=cell.generate,
        concurrency=cell.concurrency,
        metric=metric,
        unit=unit,
        before=before,
        after=after,
        change=change,
        verdict=verdict,
        reason=reason,
    )


def _loads(before: Iterable[Load], after: Iterable[Load]) -> Iterable[Difference]:
    earlier = {(load.model, options_text(load.options)): load for load in before}
    for load in after:
        options = options_text(load.options)
        old = earlier.get((load.model, options))
        was, is_now = load_time(old) if old is not None else None, load_time(load)
        if was is None or is_now is None:
            continue
        change, verdict = judge(was, is_now, rising=False)
        yield Difference(
            model=load.model,
            options=options,
            metric="load",
            unit="s",
            before=was,
            after=is_now,
            change=change,
            verdict=verdict,
        )


def _warnings(before: Run, after: Run) -> Iterable[str]:
    old, new = before.surroundings, after.surroundings
    names = {"engine": "engine", "cpu": "processor", "cores": "cores", "version": "version", "llama": "llama.cpp"}
    for field, name in names.items():
        was, is_now = getattr(old, field), getattr(new, field)
        if was != is_now:
            yield f"another {name}: {was or 'unknown'} before, {is_now or 'unknown'} now"
    gpus = [
        ", ".join(device.description or device.name for device in one.devices if device.kind != "cpu") or "none"
        for one in (old, new)
    ]
    if gpus[0] != gpus[1]:
        yield f"other GPUs: {gpus[0]} before, {gpus[1]} now"
    for model, digest in after.digests.items():
        if before.digests.get(model, digest) != digest:
            yield f"{model} is not the model that it was"
    for run, when in ((before, "before"), (after, "now")):
        if run.warnings:
            yield f"{when}: {'; '.join(run.warnings)}"
