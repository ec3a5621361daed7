"""A chain that sees only the likeliest tokens chooses as it does when it sees all of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.runner.candidates import BLOCK, BLOCKS_PER_TOKEN, Candidates, likeliest
from ollama_engine.runner.protocol import Sampling
from ollama_engine.runner.sampler_chain import build_sampler
from ollama_engine.runner.token_sampler import TokenSampler

VOCABULARY = 40_000
OPTIONS = {
    "defaults": Sampling(seed=7),
    "hot": Sampling(seed=7, temperature=3.0, top_p=1.0),
    "many": Sampling(seed=7, temperature=2.0, top_k=100, top_p=1.0),
    "min_p": Sampling(seed=7, temperature=2.0, min_p=0.2),
    "typical": Sampling(seed=7, temperature=2.0, typical_p=0.6),
    "xtc": Sampling(seed=7, temperature=2.0, xtc_probability=0.7, xtc_threshold=0.01),
    "dynatemp": Sampling(seed=7, temperature=2.0, dynatemp_range=1.5),
    "repeat": Sampling(seed=7, temperature=2.0, repeat_penalty=1.5),
    "rewarded": Sampling(seed=7, temperature=2.0, presence_penalty=-2.0, frequency_penalty=-0.5, repeat_last_n=16),
    "greedy": Sampling(temperature=0),
    "greedy, repeat": Sampling(temperature=0, repeat_penalty=2.0),
    "bias": Sampling(seed=7, temperature=2.0, logit_bias={3: 9.0, 17: -100.0, 5000: 12.0}),
}


def sampler(sampling: Sampling, *, all_of_them: bool) -> TokenSampler:
    context: Any = SimpleNamespace(n_ctx=512, model=SimpleNamespace(n_vocab=VOCABULARY, vocab=None))
    made = build_sampler(sampling, context, Candidates(VOCABULARY))
    assert isinstance(made, TokenSampler)
    if all_of_them:
        made._narrow, made._greedy = 0, False
    return made


@pytest.mark.parametrize("name", OPTIONS)
def test_it_chooses_as_if_it_saw_all(name: str) -> None:
    random = np.random.default_rng(0)
    few, every = (sampler(OPTIONS[name], all_of_them=all_of_them) for all_of_them in (False, True))
    prompt = random.integers(0, VOCABULARY, 30).tolist()
    chosen: list[list[int]] = [[], []]
    favourites = random.integers(0, VOCABULARY, 50)
    for one in (few, every):
        one.prime(prompt)
    for _ in range(60):
        row = random.standard_normal(VOCABULARY).astype(np.float32) * 2
        row[favourites] += 6  # the same come again, so that penalties have something to hold down
        for k, one in enumerate((few, every)):
            chosen[k].append(one.sample(row.copy()))
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) > 5
    for one in (few, every):
        one.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3]))
def test_the_likeliest_are_all_there_with_those_that_equal_the_last(n: int, seed: int, decimals: int) -> None:
    row = np.random.default_rng(seed).standard_normal(BLOCK * BLOCKS_PER_TOKEN * 60 + 17).astype(np.float32)
    row = row.round(decimals)  # few decimals: many ties
    found = likeliest(row, n)
    assert found is not None
    assert len(found) >= n
    rest = np.delete(row, found)
    assert rest.max(initial=-np.inf) < row[found].min()


def test_a_small_vocabulary_is_taken_whole() -> None:
    assert likeliest(np.zeros(1000, np.float32), 40) is None


def test_bias_forbids_and_forces() -> None:
    row = np.zeros(VOCABULARY, np.float32)
    row[5] = 50
    forbids = sampler(Sampling(seed=1, logit_bias={5: -100.0, 6: 100.0}), all_of_them=False)
    assert {forbids.sample(row.copy()) for _ in range(20)} == {6}
    forbids.close()
