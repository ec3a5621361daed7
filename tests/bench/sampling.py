"""What a step's sampling costs: 8 sequences over a vocabulary of 128k, default options.

    python -m tests.bench.sampling

Three ways take turns over the same rows: ours (few candidates, one after the other), llama.cpp's (its own array of all
the vocabulary, then the chain; what `llama_sampler_sample` does, its array filled once by numpy), and that in threads.
Prints medians in microseconds a token. Asserts nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np

from ollama_engine.runner.candidates import Candidates
from ollama_engine.runner.protocol import Sampling
from ollama_engine.runner.sampler_chain import build_sampler
from ollama_engine.runner.token_sampler import TokenSampler

VOCABULARY, SEQUENCES, TURNS = 128_256, 8, 60
KINDS = {
    "default": Sampling(seed=1),
    "default, penalties": Sampling(seed=1, repeat_penalty=1.1),
    "greedy": Sampling(temperature=0),
}


def measure(sampling: Sampling) -> dict[str, float]:
    """Microseconds a token, by way."""
    rows = np.random.default_rng(0).standard_normal((SEQUENCES, VOCABULARY)).astype(np.float32) * 3
    context: Any = SimpleNamespace(n_ctx=4096, model=SimpleNamespace(n_vocab=VOCABULARY, vocab=None))
    candidates = Candidates(VOCABULARY)

    def samplers(*, whole: bool) -> list[TokenSampler]:
        made = [build_sampler(sampling, context, candidates) for _ in range(SEQUENCES)]
        assert all(isinstance(one, TokenSampler) for one in made)
        for one in made:
            one.prime(range(64))
            if whole:
                one._narrow, one._greedy = 0, False  # pyright: ignore[reportAttributeAccessIssue]
        return made  # pyright: ignore[reportReturnType]

    ours, whole, threaded = samplers(whole=False), samplers(whole=True), samplers(whole=True)
    with ThreadPoolExecutor(2) as pool:
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda: [one.sample(row) for one, row in zip(ours, rows, strict=True)],
            "whole vocabulary": lambda: [one.sample(row) for one, row in zip(whole, rows, strict=True)],
            "whole, 2 threads": lambda: list(pool.map(TokenSampler.sample, threaded, rows)),
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(TURNS):
            for way, step in ways.items():
                began = time.perf_counter()
                step()
                taken[way].append((time.perf_counter() - began) / SEQUENCES * 1e6)
    for one in (*ours, *whole, *threaded):
        one.close()
    return {way: round(statistics.median(times), 1) for way, times in taken.items()}


def main() -> None:
    figures = {kind: measure(sampling) for kind, sampling in KINDS.items()}
    for kind, by_way in figures.items():
        print(f"{kind:20}", *(f"{way}: {time:7.1f} µs" for way, time in by_way.items()), sep="  ")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
