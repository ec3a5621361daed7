"""Answers of the toy model under a grammar: what tests of structured output are judged by."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib import resources

from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Done, Generate, LoadSpec, Piece, Sampling

CONTEXT = 512
PARALLEL = 4


@dataclass(frozen=True)
class Answer:
    """`finished` is false where the answer ran into the token limit."""

    text: str
    finished: bool
    seed: int


@contextlib.asynccontextmanager
async def toy_runner() -> AsyncIterator[Runner]:
    """A runner process with the bundled model, whose vocabulary has every byte."""
    with resources.as_file(resources.files("ollama_engine") / "data" / "bard-q8_0.gguf") as path:
        runner = await Runner.start(LoadSpec([str(path)], n_ctx=CONTEXT, n_seq=PARALLEL, n_gpu_layers=0, n_threads=1))
        try:
            yield runner
        finally:
            await runner.aclose()


async def answer(runner: Runner, grammar: str, *, seed: int, max_tokens: int = 480, temperature: float = 1.0) -> Answer:
    """One answer; the prompt differs from seed to seed. Errors of the runner are raised."""
    prompt = random.Random(seed).choice(["Answer in JSON: ", "{", "What news?\n", "My lord, \u00e9t\u00e9 "])
    tokens = await runner.tokenize(prompt)
    # All candidates stay in: unlikely ones show what the grammar lets through.
    sampling = Sampling(temperature=temperature, top_k=0, top_p=1.0, seed=seed, grammar=grammar)
    text, reason = "", ""
    request = Generate(0, tokens, max_tokens=max_tokens, sampling=sampling, shift=False)
    async with contextlib.aclosing(runner.generate(request)) as parts:
        async for part in parts:
            if isinstance(part, Piece):
                text += part.text
            elif isinstance(part, Done):
                reason = part.reason
    return Answer(text, reason == "stop", seed)


async def answers(
    runner: Runner, grammar: str, seeds: Sequence[int], *, max_tokens: int = 480, temperature: float | None = None
) -> list[Answer]:
    """An answer for each seed, decoded together; temperatures from 0.8 to 1.5 by seed where none is given."""
    return await asyncio.gather(
        *(
            answer(
                runner,
                grammar,
                seed=seed,
                max_tokens=max_tokens,
                temperature=temperature if temperature is not None else 0.8 + 0.1 * (seed % 8),
            )
            for seed in seeds
        )
    )
