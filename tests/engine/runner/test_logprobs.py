"""Log probabilities are those of the raw logits, byte for byte, and none is lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.runner.logprobs import Distribution
from ollama_engine.runner.prefix_cache import Slot
from ollama_engine.runner.protocol import Generate, Logprob, Piece, Sampling
from ollama_engine.runner.sequence import Sequence
from tests.engine.runner.running import BARD, running
from tests.support.gguf_models import scripted_model

TEXT = "naïve 🦙 café, 🦙🦙 and so on"


async def logprobs_of(path: Path, prompt: str, **request: object) -> tuple[str, list[Logprob], int]:
    """Text, log probabilities and the number of tokens."""
    async with running(path) as runner:
        frame = Generate(0, await runner.tokenize(prompt), **request)  # pyright: ignore[reportArgumentType]
        parts = [part async for part in runner.generate(frame)]
    pieces = [part for part in parts if isinstance(part, Piece)]
    return "".join(p.text for p in pieces), [one for p in pieces for one in p.logprobs], parts[-1].output_tokens  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("top", [0, 1, 20])
async def test_every_token_has_one_and_their_bytes_are_the_text(tmp_path: Path, top: int) -> None:
    path = scripted_model(tmp_path / "m.gguf", TEXT)
    text, found, tokens = await logprobs_of(path, "x", max_tokens=100, logprobs=top)
    assert text == TEXT
    assert b"".join(one.chosen.piece for one in found) == TEXT.encode()
    assert len(found) == tokens - 1  # the end is no token of the answer
    assert all(len(one.top) == top for one in found)


async def test_none_come_where_none_were_asked_for(tmp_path: Path) -> None:
    _, found, _ = await logprobs_of(scripted_model(tmp_path / "m.gguf", TEXT), "x", max_tokens=100)
    assert found == []


async def test_the_best_come_first_and_a_greedy_answer_takes_them() -> None:
    options = Sampling(temperature=0)
    _, found, _ = await logprobs_of(BARD, "Who goes there", max_tokens=20, logprobs=5, sampling=options)
    for one in found:
        values = [top.logprob for top in one.top]
        assert values == sorted(values, reverse=True)
        assert one.top[0] == one.chosen
        assert sum(np.exp(values)) <= 1 + 1e-6


async def test_samplers_do_not_change_them() -> None:
    """The first token's distribution is the model's, whatever is done to it before the draw."""
    plain = Sampling(seed=3, temperature=1.0, top_k=0, top_p=1.0)
    bent = Sampling(seed=3, temperature=0.2, top_k=3, logit_bias={5: 8.0}, repeat_penalty=2.0)
    first = [
        (await logprobs_of(BARD, "Who goes there", max_tokens=1, logprobs=20, sampling=options))[1][0].top
        for options in (plain, bent)
    ]
    assert [(t.piece, pytest.approx(t.logprob, abs=1e-4)) for t in first[0]] == [(t.piece, t.logprob) for t in first[1]]


async def test_those_of_a_stop_string_are_left_out(tmp_path: Path) -> None:
    path = scripted_model(tmp_path / "m.gguf", "one two three four", split=2)
    text, found, _ = await logprobs_of(path, "x", max_tokens=100, logprobs=0, stop=["three"])
    assert text == "one two "
    assert b"".join(one.chosen.piece for one in found) == b"one two "


def test_they_are_the_softmax_of_the_logits() -> None:
    row = np.random.default_rng(1).standard_normal(30_000).astype(np.float32) * 5
    row[70] = row[7] = row.max() + 1  # two best
    exact = row.astype(np.float64) - np.log(np.exp(row.astype(np.float64)).sum())
    one = Distribution(row, 20).of(123, lambda token: str(token).encode())
    assert one.chosen.logprob == pytest.approx(exact[123], abs=1e-5)
    best = np.lexsort((np.arange(len(row)), -row))[:20]
    assert [int(t.piece) for t in one.top] == best.tolist()
    assert [t.logprob for t in one.top] == pytest.approx(exact[best].tolist(), abs=1e-5)


async def test_a_bias_for_no_token_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="logit_bias: token 99999999"):
        await logprobs_of(BARD, "x", sampling=Sampling(logit_bias={99_999_999: 1.0}))


async def test_a_grammar_that_no_token_can_go_on_with_ends_its_request_alone() -> None:
    """Bard writes no Chinese; the runner lives on."""
    from ollama_engine.errors import RunnerError

    async with running(BARD) as runner:
        tokens = await runner.tokenize("Who")
        stuck = Generate(0, tokens, max_tokens=9, sampling=Sampling(grammar='root ::= [a-z]+ "\\x00"+'))
        with pytest.raises(RunnerError):
            async for _ in runner.generate(Generate(0, tokens, sampling=Sampling(grammar='root ::= "\\x00"'))):
                pass
        assert [part async for part in runner.generate(stuck)]


def test_a_token_that_is_not_shown_takes_no_room_before_a_stop_string() -> None:
    """The model says `<|hidden|>`, `yes`, `STOP`: the first shows nothing, the last was cut off."""
    sequence = Sequence(Generate(1, [1]), Slot(0), cast(Any, None), 0, {}, {})
    model: Any = SimpleNamespace(
        is_end=lambda token: False,
        any_piece=lambda token: (b"<|hidden|>", b"yes", b"STOP")[token],
        piece=lambda token: (b"", b"yes", b"STOP")[token],
    )
    sequence.request.logprobs = 0
    for token in range(3):
        sequence.sampler = cast(Any, SimpleNamespace(sample=lambda logits, token=token: token))
        sequence.choose(np.zeros(3, np.float32), model)
    sequence.forget_logprobs_behind("yes")
    assert [one.chosen.piece for one in sequence.piece("yes").logprobs] == [b"<|hidden|>", b"yes"]
