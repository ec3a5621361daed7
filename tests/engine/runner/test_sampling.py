"""Each request is sampled by its own options and its own seed, alone or beside others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Sampling
from tests.engine.runner.running import BARD, answer, running
from tests.support.gguf_models import scripted_model

PROMPT = "To be, or not"


async def say(runner: Runner, sampling: Sampling, prompt: str = PROMPT, max_tokens: int = 30) -> str:
    return (await answer(runner, prompt, sampling=sampling, max_tokens=max_tokens)).text


OPTIONS = {
    "defaults": Sampling(seed=7),
    "hot": Sampling(seed=7, temperature=2.0, top_k=0, top_p=1.0),
    "min_p": Sampling(seed=7, min_p=0.1),
    "typical": Sampling(seed=7, typical_p=0.5),
    "top_n_sigma": Sampling(seed=7, top_n_sigma=1.0),
    "xtc": Sampling(seed=7, xtc_probability=0.5),
    "dry": Sampling(seed=7, dry_multiplier=0.8),
    "dynatemp": Sampling(seed=7, dynatemp_range=0.5),
    "mirostat": Sampling(seed=7, mirostat=1),
    "mirostat2": Sampling(seed=7, mirostat=2),
    "penalties": Sampling(seed=7, repeat_penalty=1.3, presence_penalty=0.5, frequency_penalty=0.5),
    "all history": Sampling(seed=7, repeat_penalty=1.3, repeat_last_n=-1, dry_multiplier=0.8),
    "greedy": Sampling(temperature=0),
    "grammar": Sampling(seed=7, grammar="root ::= [a-z ]+"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
async def test_a_seed_gives_the_same_text_again(options: Sampling) -> None:
    async with running(BARD) as runner:
        first = await say(runner, options)
        await say(runner, Sampling(seed=99), "something else")
        assert await say(runner, options) == first
        assert len(first) > 5


async def test_a_seed_gives_the_same_text_inside_a_batch(tmp_path: Path) -> None:
    """Eight requests over four slots, each with its own options: what each says is what it says alone.

    A trained model's logits differ in the last bits with the shape of the batch. Those of a scripted model do not,
    and at this temperature any of its tokens may come next.
    """
    model = scripted_model(tmp_path / "m.gguf", "any of these tokens may come")
    hot = Sampling(temperature=40, top_k=0, top_p=1.0, seed=3)
    others: list[dict[str, Any]] = [
        {"mirostat": 2},
        {"repeat_penalty": 1.3},
        {"xtc_probability": 0.5, "xtc_threshold": 0.01},
        {"dynatemp_range": 20},
        {"min_p": 0.2},
        {"top_k": 20},
    ]
    mixed = [hot, Sampling(temperature=0), *(structs.replace(hot, **other) for other in others)]
    prompts = [f"{PROMPT} {'so' * n}" for n in range(len(mixed))]
    pairs = list(zip(mixed, prompts, strict=True))
    async with running(model, n_seq=4) as runner:
        alone = [await say(runner, options, prompt) for options, prompt in pairs]
        together = await asyncio.gather(*(say(runner, options, prompt) for options, prompt in pairs))
    assert together == alone
    assert len(set(alone)) >= 6


async def test_other_seeds_give_other_texts() -> None:
    async with running(BARD, n_seq=4) as runner:
        texts = await asyncio.gather(*(say(runner, Sampling(seed=seed)) for seed in range(8)))
        assert len(set(texts)) == 8
        unseeded = await asyncio.gather(*(say(runner, Sampling()) for _ in range(4)))
        assert len(set(unseeded)) == 4


async def test_every_seed_that_fits_is_reproducible() -> None:
    async with running(BARD) as runner:
        for seed in (0, 2**31, 2**32 - 1, 2**32 + 5, 2**63 - 1):
            assert await say(runner, Sampling(seed=seed)) == await say(runner, Sampling(seed=seed)), seed


async def test_temperature_zero_ignores_the_seed() -> None:
    async with running(BARD) as runner:
        assert len({await say(runner, Sampling(temperature=0, seed=seed)) for seed in (-1, 1, 2)}) == 1


async def test_one_candidate_left_is_greedy() -> None:
    async with running(BARD) as runner:
        greedy = await say(runner, Sampling(temperature=0))
        assert await say(runner, Sampling(top_k=1)) == greedy
        assert await say(runner, Sampling(top_p=0.0, top_k=0)) == greedy


async def test_a_repeat_penalty_makes_words_rarer_and_sees_the_prompt() -> None:
    async with running(BARD) as runner:
        prompt = "the " * 20
        tokens = await runner.tokenize(prompt)
        strong = Sampling(temperature=0, repeat_penalty=50.0)
        got = await answer(runner, tokens, sampling=strong, max_tokens=1, return_tokens=True)
        assert got.done.tokens is not None
        assert got.done.tokens[-1] not in tokens
        blind = Sampling(temperature=0, repeat_penalty=50.0, repeat_last_n=0)
        plain = Sampling(temperature=0)
        assert await say(runner, blind, prompt) == await say(runner, plain, prompt)
