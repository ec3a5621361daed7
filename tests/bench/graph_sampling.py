"""Where a step's tokens are chosen: by the runner's chains, or in llama.cpp's graph (`llama_set_sampler`).

    python -m tests.bench.graph_sampling [--shape 135m] [--turns 7]

Eight sequences decoded together, Ollama's default options. Two contexts over the same weights take turns: in one the
runner chooses from the logits, in the other llama.cpp has a chain for each sequence in its graph. Prints medians in
milliseconds a step, choice included, and those of the first step after one sampler was changed, as every request that
comes changes one. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from ollama_engine.runner.candidates import Candidates
from ollama_engine.runner.llama import C, set_log
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import LoadSpec, Sampling
from ollama_engine.runner.sampler_chain import build_sampler
from tests.bench.shapes import SHAPES, bench_model

SEQUENCES, STEPS, FIRST_TOKEN = 8, 40, 5
TOP_K, TOP_P, TEMPERATURE = 40, 0.9, 0.8
Choose = Callable[[], list[int]]


def graph_chain(seed: int) -> Any:
    """The default options as llama.cpp's own samplers, each of which it can compute in its graph."""
    chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
    for sampler in (
        C.llama_sampler_init_top_k(TOP_K),
        C.llama_sampler_init_top_p(TOP_P, 1),
        C.llama_sampler_init_temp(TEMPERATURE),
        C.llama_sampler_init_dist(seed),
    ):
        C.llama_sampler_chain_add(chain, sampler)
    return chain


def steps(context: LlamaContext, choose: Choose, n: int) -> list[float]:
    """Milliseconds of each of `n` steps, from empty sequences on."""
    context.forget_all()
    tokens = [FIRST_TOKEN] * SEQUENCES
    times: list[float] = []
    for position in range(n):
        batch = LlamaBatch(SEQUENCES)
        for sequence, token in enumerate(tokens):
            batch.add([token], position, sequence, want_logits=True)
        began = time.perf_counter()
        if context.decode(batch) != 0:
            raise SystemExit("llama.cpp could not decode")
        tokens = choose()
        times.append((time.perf_counter() - began) * 1000)
    return times


def measure(shape: str, turns: int) -> dict[str, float]:
    """Milliseconds a step, by where the tokens are chosen."""
    threads = os.cpu_count() or 1  # a fixed number: how many is not what is compared here
    spec = LoadSpec([str(bench_model(shape).path)], 512, n_seq=SEQUENCES, n_threads=threads)
    model = LlamaModel(spec, lambda fraction: True)
    by_runner, by_graph = LlamaContext(model, spec), LlamaContext(model, spec)
    candidates = Candidates(model.n_vocab)
    sampling = Sampling(seed=1, temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, min_p=0.0)
    samplers = [build_sampler(sampling, by_runner, candidates) for _ in range(SEQUENCES)]
    for sampler in samplers:
        sampler.prime([FIRST_TOKEN])
    for sequence in range(SEQUENCES):
        if not C.llama_set_sampler(by_graph.handle, sequence, graph_chain(sequence)):
            raise SystemExit("this llama.cpp cannot compute the chain in its graph")

    def runner_chooses() -> list[int]:
        return [sampler.sample(by_runner.logits(row)) for row, sampler in enumerate(samplers)]

    def graph_has_chosen() -> list[int]:
        return [C.llama_get_sampled_token_ith(by_graph.handle, row) for row in range(SEQUENCES)]

    taken: dict[str, list[float]] = {"runner": [], "graph": [], "graph, first step after a change": []}
    for turn in range(turns + 1):
        one = statistics.median(steps(by_runner, runner_chooses, STEPS))
        other = statistics.median(steps(by_graph, graph_has_chosen, STEPS))
        C.llama_set_sampler(by_graph.handle, 0, graph_chain(turn))
        changed = steps(by_graph, graph_has_chosen, 1)[0]
        if turn:  # the first fills the caches
            for times, value in zip(taken.values(), (one, other, changed), strict=True):
                times.append(value)
    return {where: round(statistics.median(times), 1) for where, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="135m")
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    quiet = set_log(lambda level, text: None)
    figures = measure(arguments.shape, arguments.turns)
    assert quiet
    for where, milliseconds in figures.items():
        print(f"{where:36} {milliseconds:7.1f} ms a step")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
