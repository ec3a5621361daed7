"""Every sampler option does what its definition says, on rows of logits whose probabilities are known."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from ollama_engine.runner.candidates import Candidates
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_sampler import LlamaSampler
from ollama_engine.runner.protocol import Sampling
from ollama_engine.runner.sampler_chain import build_sampler
from ollama_engine.runner.token_sampler import TokenSampler
from tests.engine.runner.running import answer, running
from tests.support.gguf_models import looping_model

SHARES = [0.4, 0.3, 0.2, 0.1]
PLAIN: dict[str, Any] = {"seed": 5, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}


def draws(n: int, logits: list[float], prompt: list[int] | None = None, **options: Any) -> list[int]:
    """`n` tokens, each chosen by the same logits."""
    context: Any = SimpleNamespace(n_ctx=64, model=SimpleNamespace(n_vocab=len(logits), vocab=None))
    sampler = build_sampler(Sampling(**{**PLAIN, **options}), context, Candidates(len(logits)))
    sampler.prime(prompt or [])
    row = np.array(logits, np.float32)
    try:
        return [sampler.sample(row.copy()) for _ in range(n)]
    finally:
        sampler.close()


LOGITS = np.log(SHARES).tolist()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 3}, {0, 1, 2}),
        ({"top_k": 1}, {0}),
        ({"top_p": 0.5}, {0, 1}),
        ({"top_p": 0.75}, {0, 1, 2}),
        ({"min_p": 0.6}, {0, 1}),
        ({"min_p": 0.3}, {0, 1, 2}),
        ({"typical_p": 0.25}, {1}),  # entropy 1.28: 0.3 has a surprise of 1.20, the nearest to it; 0.2 has 1.61
        ({"typical_p": 0.45}, {1, 2}),
        ({"top_n_sigma": 1.0}, {0, 1}),  # standard deviation 0.52 of the logits, 0.69 from the first to the third
        ({"xtc_probability": 1.0, "xtc_threshold": 0.15}, {2, 3}),
        ({"xtc_probability": 1.0, "xtc_threshold": 0.35}, {0, 1, 2, 3}),  # one alone stays
        ({"mirostat": 2, "mirostat_tau": 0.1, "mirostat_eta": 0.0}, {0}),
        ({"mirostat": 2, "mirostat_tau": 5.0}, {0, 1, 2, 3}),
        ({"temperature": 0.0}, {0}),
        ({"logit_bias": {3: 50.0}}, {3}),
        ({"logit_bias": {0: -100.0, 1: -100.0}}, {2, 3}),
    ],
)
def test_these_are_left_to_choose_among(options: dict[str, Any], left: set[int]) -> None:
    assert set(draws(300, LOGITS, **options)) == left


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_a_power_of_the_shares(temperature: float) -> None:
    shares = np.array(SHARES) ** (1 / temperature)
    counts = np.bincount(draws(6000, LOGITS, temperature=temperature), minlength=4) / 6000
    assert counts == pytest.approx(shares / shares.sum(), abs=0.03)


def test_dynamic_temperature_is_hotter_the_less_sure_the_model_is() -> None:
    """Entropy over the largest possible one, to the power of the exponent, between the two ends of the range."""
    shares = np.array(SHARES)
    sure = -(shares * np.log(shares)).sum() / np.log(4)
    hot = shares ** (1 / (0.2 + 1.6 * sure**3))
    options: dict[str, Any] = {"temperature": 1.0, "dynatemp_range": 0.8, "dynatemp_exponent": 3.0}
    counts = np.bincount(draws(6000, LOGITS, **options), minlength=4) / 6000
    assert counts == pytest.approx(hot / hot.sum(), abs=0.03)


def test_mirostat_1_steers_the_surprise() -> None:
    """tau is the mean surprise, in bits, among the tokens that it keeps; seen over all tokens a low one comes out
    higher, by what was cut off. With a high tau nearly none is."""
    logits = (-np.log(np.arange(1, 400))).tolist()
    surprise = -np.log2(np.exp(logits) / np.exp(logits).sum())
    off = surprise[draws(600, logits)].mean()
    low, high = (
        surprise[draws(600, logits, mirostat=1, mirostat_tau=tau, mirostat_eta=0.1)].mean() for tau in (2.0, 5.0)
    )
    assert high == pytest.approx(5.0, abs=0.7)
    assert 2.0 < low < min(high, off) - 1


GREEDY: dict[str, Any] = {"temperature": 0.0}


@pytest.mark.parametrize(
    ("logits", "prompt", "options", "first"),
    [
        ([2.0, 1.5], [0], {"repeat_penalty": 2.0}, 1),
        ([2.0, 1.5], [0], {"repeat_penalty": 1.2}, 0),
        ([-1.0, -1.5], [0], {"repeat_penalty": 2.0}, 1),  # what is below 0 is multiplied
        ([2.0, 1.5], [0], {"presence_penalty": 0.6}, 1),
        ([2.0, 1.5], [0, 0], {"presence_penalty": 0.4}, 0),  # once, however often it came
        ([2.0, 1.5], [0, 0], {"frequency_penalty": 0.3}, 1),
        ([2.0, 1.5], [0], {"frequency_penalty": 0.3}, 0),
        ([2.0, 1.5, 0.0], [0, 2, 2], {"repeat_penalty": 2.0, "repeat_last_n": 2}, 0),
        ([2.0, 1.5, 0.0], [0, 2, 2], {"repeat_penalty": 2.0, "repeat_last_n": 3}, 1),
        ([2.0, 1.5, 0.0], [0, *[2] * 60], {"repeat_penalty": 2.0, "repeat_last_n": -1}, 1),
        ([2.0, 1.5], [0], {"repeat_penalty": 2.0, "repeat_last_n": 0}, 0),
    ],
)
def test_penalties_hold_down_what_came(
    logits: list[float], prompt: list[int], options: dict[str, Any], first: int
) -> None:
    assert draws(1, logits, prompt, **GREEDY, **options) == [first]


def test_no_token_left_is_an_error_before_a_grammar_is_asked() -> None:
    """llama.cpp's grammar ends the process at a token that is none."""
    asked: list[int] = []
    grammar: Any = SimpleNamespace(allows=lambda token: asked.append(token) or True)
    chain: Any = LlamaSampler()  # nothing in it: it chooses none
    sampler = TokenSampler(chain, grammar, Candidates(4), narrow=0)
    with pytest.raises(LlamaError, match="no token to choose"):
        sampler.draw(np.zeros(4, np.float32), held=True)
    assert asked == []
    chain.close()


async def test_dry_breaks_a_loop(tmp_path: Path) -> None:
    greedy = Sampling(temperature=0)
    dry = structs.replace(greedy, dry_multiplier=1000.0)
    patient = structs.replace(dry, dry_allowed_length=60)
    async with running(looping_model(tmp_path / "m.gguf")) as runner:
        loop, broken, allowed = [
            (await answer(runner, "x", sampling=sampling, max_tokens=30)).text for sampling in (greedy, dry, patient)
        ]
    assert allowed == loop
    assert broken != loop
