"""The figures of a benchmark, each from the samples of a cell.

Rates are of tokens that were really computed: those from the prefix cache are not read, and the first token of an
answer comes out of the prompt's computation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ollama_engine.bench.records import CellResult, Load, Sample
from ollama_engine.bench.statistics import Summary, summary


@dataclass(frozen=True)
class Metric:
    """`unit` is `tok/s`, `s` or `bytes`; `rising` tells whether more is better."""

    id: str
    title: str
    unit: str
    rising: bool
    values: Callable[[CellResult], list[float]]

    def of(self, result: CellResult) -> Summary | None:
        return summary(self.values(result))


def prompt_rate(sample: Sample) -> float | None:
    """Tokens a second of reading the prompt; None where the cache knew half of it or more."""
    read = sample.prompt_tokens - sample.cached_tokens
    if sample.prompt_ns <= 0 or read * 2 <= sample.prompt_tokens:
        return None
    return read / (sample.prompt_ns / 1e9)


def generation_rate(sample: Sample) -> float | None:
    """Tokens a second of one answer, from its first token on."""
    if sample.generation_ns <= 0 or sample.tokens < 2:
        return None
    return (sample.tokens - 1) / (sample.generation_ns / 1e9)


def throughput(samples: Sequence[Sample]) -> float | None:
    """Tokens a second of all answers of one round together, from the very first token to the end of the last answer.

    When an answer's first token was there follows from its end, by the engine's own clock: what waits on its way to the
    caller comes in a bunch.
    """
    begins = min(sample.start_ns + sample.total_ns - sample.generation_ns for sample in samples)
    ends = max(sample.start_ns + sample.total_ns for sample in samples)
    tokens = sum(sample.tokens - 1 for sample in samples)
    return tokens / ((ends - begins) / 1e9) if tokens > 0 and ends > begins else None


def _each(figure: Callable[[Sample], float | None]) -> Callable[[CellResult], list[float]]:
    """A figure of each round: the median of its requests, which are no repeats of each other."""

    def of_round(samples: list[Sample]) -> float | None:
        values = summary([value for sample in samples if (value := figure(sample)) is not None])
        return values.median if values else None

    return _rounds(of_round)


def _rounds(figure: Callable[[list[Sample]], float | None]) -> Callable[[CellResult], list[float]]:
    def values(result: CellResult) -> list[float]:
        rounds: dict[int, list[Sample]] = defaultdict(list)
        for sample in result.samples:
            rounds[sample.round].append(sample)
        return [value for samples in rounds.values() if (value := figure(samples)) is not None]

    return values


def _memory(result: CellResult) -> list[float]:
    return [float(result.memory.size)] if result.memory is not None and result.memory.size else []


PROMPT = Metric("prompt", "prompt", "tok/s", True, _each(prompt_rate))
GENERATION = Metric("generation", "generation", "tok/s", True, _each(generation_rate))
THROUGHPUT = Metric("throughput", "together", "tok/s", True, _rounds(throughput))
FIRST_TOKEN = Metric("first_token", "first token", "s", False, _each(lambda sample: sample.first_token_ns / 1e9))
MEMORY = Metric("memory", "memory", "bytes", False, _memory)
METRICS = (PROMPT, GENERATION, THROUGHPUT, FIRST_TOKEN, MEMORY)
"""Of a cell, in the order in which they are shown."""


def load_time(load: Load) -> Summary | None:
    """Seconds."""
    return summary([time / 1e9 for time in load.times_ns])
