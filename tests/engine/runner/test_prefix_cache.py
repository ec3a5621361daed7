"""What a prompt takes over from whichever slot holds it, and that sharing cells never changes an answer."""

from __future__ import annotations

import random as chance
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ollama_engine.runner.llama import C
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.llama_context import DECODE_ABORTED, LlamaContext
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.prefix_cache import common_prefix
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.stepping import Stepper, load
from tests.support.state_models import hybrid_model, llama_model, mamba_model, sliding_model

EXACT = {"cache_type_k": "f32", "cache_type_v": "f32", "flash_attention": False}
"""So that the company in a batch changes logits by the last bits of a float32 alone, and no choice by them: flash
attention computes a few rows otherwise than many, with differences in the third place."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    return load(llama_model(tmp_path_factory.mktemp("models") / "llama.gguf"))


@pytest.fixture(scope="module", params=[True, False], ids=["one pool", "streams"])
def exact(request: pytest.FixtureRequest) -> dict[str, Any]:
    """In both layouts of the KV cache."""
    return {**EXACT, "kv_unified": request.param}


@pytest.fixture
def four(model: LlamaModel, exact: dict[str, Any]) -> Iterator[Stepper]:
    with Stepper(model, n_seq=4, **exact) as stepper:
        yield stepper


def alone(model: LlamaModel, prompt: list[int], *, n_ctx: int = 512, **request: object) -> list[int]:
    """The answer in a context that has never seen anything else."""
    with Stepper(model, n_seq=1, n_ctx=n_ctx, **EXACT) as stepper:
        return stepper.answer(prompt, **request)


def are_alike(model: LlamaModel, tokens: list[int], one: int, other: int) -> bool:
    """Whether, after `tokens`, two tokens are so nearly as likely that the order of a sum decides: a row is computed by
    other kernels beside others than alone."""
    context = LlamaContext(model, LoadSpec([], 512, n_threads=1, **EXACT))
    try:
        batch = LlamaBatch(len(tokens))
        batch.add(tokens, 0, 0, want_logits=True)
        assert context.decode(batch) == 0
        logits = context.logits(len(tokens) - 1)
        return abs(float(logits[one] - logits[other])) < 1e-4
    finally:
        C.llama_free(context.handle)


@given(st.lists(st.integers(-(2**60), 2**60), max_size=40), st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_a_common_prefix_is_what_both_begin_with(begin: list[int], one: list[int], other: list[int]) -> None:
    first, second = begin + one, begin + other
    expected = next((n for n, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), None)
    if expected is None:
        expected = min(len(first), len(second))
    assert common_prefix(array("q", first), array("q", second)) == expected


class TestSharing:
    def test_a_prompt_shares_the_prefix_of_a_finished_slot_and_leaves_it_whole(self, four: Stepper) -> None:
        shared = list(range(100))
        first = [*shared, *[1] * 30]
        four.answer(first, max_tokens=1)
        assert four.cached([*shared, *[2] * 30], max_tokens=1) == 100
        assert four.cached([*first, 3], max_tokens=1) == 130

    def test_a_prompt_shares_the_prefix_of_a_running_one(self, model: LlamaModel, four: Stepper) -> None:
        shared = [5] * 60
        first = four.add([*shared, 1], max_tokens=50)
        while not four.texts[first]:
            four.step()
        second = four.add([*shared, 2], max_tokens=50)
        four.run(first, second)
        assert four.done[second].cached_tokens == 60
        assert four.output(first) == alone(model, [*shared, 1], max_tokens=50)
        assert four.output(second) == alone(model, [*shared, 2], max_tokens=50)

    def test_shared_cells_count_once_and_copies_each(self, four: Stepper) -> None:
        shared = [5] * 100
        for tail in (1, 2, 3):
            four.answer([*shared, *[tail] * 30], max_tokens=1)
        unified = four.context.unified
        assert four.batcher.cells_used == (190 if unified else 390)
        four.answer([*shared, *[2] * 40], max_tokens=1)  # goes on in its slot
        four.answer([6] * 10, max_tokens=1)
        assert four.batcher.cells_used == (210 if unified else 410)

    def test_a_short_shared_prefix_does_not_cost_a_long_cached_one(self, four: Stepper) -> None:
        long = [*range(20), *[7] * 300]
        four.answer(long, max_tokens=1)
        assert four.cached([*range(20), 1, 2, 3], max_tokens=1) == 20
        assert four.cached(long, max_tokens=1) == 319

    def test_a_conversation_that_goes_on_stays_in_its_slot(self, four: Stepper) -> None:
        """It does not fill the others with its own earlier states."""
        others = [[n] * 50 for n in (1, 2, 3)]
        for prompt in others:
            four.answer(prompt, max_tokens=1)
        prompt = [9] * 50
        for turn in range(6):
            answer = four.answer(prompt, max_tokens=5)
            prompt = [*prompt, *answer[:-1], turn, turn]
        assert [four.cached(other, max_tokens=1) for other in others] == [49, 49, 49]

    def test_the_slot_used_longest_ago_goes_first(self, four: Stepper) -> None:
        prompts = [[n] * 50 for n in range(1, 5)]
        for prompt in prompts:
            four.answer(prompt, max_tokens=1)
        four.answer(prompts[0], max_tokens=1)
        four.answer([99] * 10, max_tokens=1)  # takes the place of the second
        assert [four.cached(prompts[n], max_tokens=1) for n in (0, 2, 3)] == [49, 49, 49]
        assert four.cached(prompts[1], max_tokens=1) == 0

    def test_a_cancelled_answer_leaves_what_it_shares(self, model: LlamaModel, four: Stepper) -> None:
        shared = [5] * 60
        staying = four.add([*shared, 1], max_tokens=60)
        while not four.texts[staying]:
            four.step()
        leaving = four.add([*shared, 2], max_tokens=60)
        four.step()
        four.batcher.cancel(leaving)
        four.step()
        four.batcher.cancel(four.add([*shared, 3]))
        four.run(staying)
        assert four.done[leaving].reason == "canceled"
        assert four.output(staying) == alone(model, [*shared, 1], max_tokens=60)

    def test_a_hundred_thousand_cells_compare_in_a_step_of_numpy(self) -> None:
        one = array("q", range(100_000))
        other = array("q", [*range(99_999), 0])
        assert common_prefix(one, other) == 99_999


class TestShift:
    """A context shift moves cells, for everybody who holds them."""

    @pytest.mark.parametrize("keep", [0, 4, 40])
    def test_beside_a_live_holder(self, model: LlamaModel, exact: dict[str, Any], keep: int) -> None:
        shared = list(range(60, 100))
        with Stepper(model, n_ctx=64, n_seq=3, **exact) as stepper:
            first = stepper.add([*shared, 1], max_tokens=150, keep=keep)
            while not stepper.texts[first]:
                stepper.step()
            second = stepper.add([*shared, 2], max_tokens=150, keep=keep)
            stepper.run(first, second)
            assert stepper.done[second].cached_tokens == 40
            for number, last in ((first, 1), (second, 2)):
                expected = alone(model, [*shared, last], n_ctx=64, max_tokens=150, keep=keep)
                assert stepper.output(number) == expected

    def test_beside_a_finished_holder(self, model: LlamaModel, exact: dict[str, Any]) -> None:
        shared = list(range(60, 100))
        first, second = [*shared, *[1] * 20], [*shared, 2]
        with Stepper(model, n_ctx=64, n_seq=3, **exact) as stepper:
            stepper.answer(first, max_tokens=1)
            number = stepper.add(second, max_tokens=150, keep=4)
            stepper.run(number)
            assert stepper.done[number].cached_tokens == 40
            assert stepper.output(number) == alone(model, second, n_ctx=64, max_tokens=150, keep=4)
            # After the first 4 cells 30 went: the last 6 of the shared ones were moved, the finished slot lost them. A
            # copy is nobody else's.
            again = stepper.add([*first, 3], max_tokens=15)
            stepper.run(again)
            assert stepper.done[again].cached_tokens == (34 if stepper.context.unified else 60)
            assert stepper.output(again) == alone(model, [*first, 3], n_ctx=64, max_tokens=15)

    def test_a_prompt_beside_a_shifted_answer_takes_only_what_was_not_moved(
        self, model: LlamaModel, exact: dict[str, Any]
    ) -> None:
        with Stepper(model, n_ctx=64, n_seq=3, **exact) as stepper:
            shifting = stepper.add(list(range(60, 100)), max_tokens=150, keep=10)
            for _ in range(40):
                stepper.step()
            cells = next(slot.cells for slot in stepper.batcher._cache.slots if slot.busy)
            prompt = [*cells[:36], 2]
            second = stepper.add(prompt, max_tokens=20)
            stepper.run(second)
            assert not stepper.ended(shifting)
            assert stepper.done[second].cached_tokens == 10
            assert stepper.output(second) == alone(model, prompt, n_ctx=64, max_tokens=20)


class TestFullCache:
    """Here the context says it has more cells than llama.cpp gave it, as when a sliding window's cells run out."""

    @pytest.fixture
    def small(self, model: LlamaModel) -> Iterator[Stepper]:
        with Stepper(model, n_ctx=64, n_seq=4, kv_unified=True, **EXACT) as stepper:
            assert stepper.batcher.cells == 256
            stepper.context.n_ctx = 250
            yield stepper

    def test_finished_slots_are_given_up_one_by_one_as_far_as_needed(self, small: Stepper) -> None:
        prompts = [[n] * 60 for n in range(1, 4)]
        for prompt in prompts:
            small.answer(prompt, max_tokens=1)
        small.answer([9] * 120, max_tokens=1)  # 180 cells are held, 76 are free
        assert small.cached(prompts[1], max_tokens=1) == 59
        assert small.cached(prompts[2], max_tokens=1) == 59
        assert small.cached(prompts[0], max_tokens=1) == 0

    def test_a_request_that_finds_no_cells_fails_alone(self, model: LlamaModel, small: Stepper) -> None:
        first = small.add([1] * 120, max_tokens=40)
        second = small.add([2] * 200, max_tokens=40)
        small.run(first, second)
        assert "KV cache is full" in small.failed[second].message
        assert small.output(first) == alone(model, [1] * 120, max_tokens=40)
        assert small.answer([2] * 200, max_tokens=5) == alone(model, [2] * 200, max_tokens=5)


MODELS = {
    "llama": llama_model,
    "sliding": sliding_model,
    "mamba": mamba_model,
    "hybrid": hybrid_model,
}


@pytest.fixture(scope="module", params=MODELS)
def any_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    return load(MODELS[request.param](Path(tmp_path_factory.mktemp("models") / f"{request.param}.gguf")))


class TestAnyMemory:
    """The same answers with and without cache, whatever the model's memory is like."""

    def test_a_conversation_that_goes_on(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        with Stepper(any_model, n_seq=2, **exact) as stepper:
            prompt = list(range(60, 120))
            for turn in range(3):
                number = stepper.add(prompt, max_tokens=20)
                stepper.run(number)
                answer = stepper.output(number)
                assert answer == alone(any_model, prompt, max_tokens=20)
                assert stepper.done[number].cached_tokens == (len(prompt) - 3 if turn else 0)
                prompt = [*prompt, *answer, turn, turn]

    def test_the_same_prompt_again(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        with Stepper(any_model, n_seq=2, **exact) as stepper:
            answers = [stepper.answer([5, *range(100)], max_tokens=20) for _ in range(3)]
        assert answers == [alone(any_model, [5, *range(100)], max_tokens=20)] * 3

    def test_a_prefix_of_an_answer_longer_than_any_window(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        """Once the window has moved on, what was behind it is gone: a shorter prompt must not be given the rest."""
        with Stepper(any_model, n_ctx=200, n_seq=2, **exact) as stepper:
            for n in range(4):  # cells of the window are used again
                stepper.answer([n] * 20, max_tokens=170, shift=False)
            for cut in (15, 20, 60, 100):
                prompt = [*[3] * 20, *alone(any_model, [3] * 20, n_ctx=200, max_tokens=170)[:cut], 250]
                assert stepper.answer(prompt, max_tokens=15) == alone(any_model, prompt, n_ctx=200, max_tokens=15)

    def test_the_next_turn_leaves_a_part_of_the_answer_out(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        """As where thinking is not put back into the conversation: it goes on from the prompt before."""
        with Stepper(any_model, n_seq=2, **exact) as stepper:
            prompt = list(range(60, 120))
            for turn in range(4):
                number = stepper.add(prompt, max_tokens=30)
                stepper.run(number)
                assert stepper.done[number].cached_tokens == (len(prompt) - 12 if turn else 0)
                assert stepper.output(number) == alone(any_model, prompt, max_tokens=30)
                prompt = [*prompt, 250 + turn, 250, *stepper.output(number)[-10:]]

    def test_a_prompt_cancelled_half_read_leaves_no_state_of_another(
        self, any_model: LlamaModel, exact: dict[str, Any]
    ) -> None:
        other = [n % 256 for n in range(3, 603, 3)]
        with Stepper(any_model, n_seq=1, n_batch=64, **exact) as stepper:
            stepper.answer(list(range(60, 120)), max_tokens=5)
            number = stepper.add(other)
            stepper.step()
            stepper.step()
            stepper.batcher.cancel(number)
            stepper.run(number)
            prompt = [*other[:100], 250]
            assert stepper.answer(prompt, max_tokens=20) == alone(any_model, prompt, max_tokens=20)

    def test_a_full_context(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        with Stepper(any_model, n_ctx=64, n_seq=3, **exact) as stepper:
            numbers = [stepper.add([n] * 30, max_tokens=150) for n in (1, 2)]
            stepper.run(*numbers)
            for number, n in zip(numbers, (1, 2), strict=True):
                assert stepper.output(number) == alone(any_model, [n] * 30, n_ctx=64, max_tokens=150)

    def test_shared_by_two_that_run_at_once(self, any_model: LlamaModel, exact: dict[str, Any]) -> None:
        shared = list(range(100, 150))
        with Stepper(any_model, n_seq=4, **exact) as stepper:
            stepper.answer(shared, max_tokens=1)  # its state is exactly the prefix
            numbers = [stepper.add([*shared, n, n], max_tokens=30) for n in (1, 2)]
            stepper.run(*numbers)
            assert [stepper.done[number].cached_tokens for number in numbers] == [50, 50]
            for number, n in zip(numbers, (1, 2), strict=True):
                assert stepper.output(number) == alone(any_model, [*shared, n, n], max_tokens=30)

    def test_a_step_broken_off_is_undone(
        self, any_model: LlamaModel, exact: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when everybody in it was cancelled, here without the cancelling: what went before still counts."""
        codes: list[int] = []

        def broken_off(batch: LlamaBatch, *, causal: bool) -> int:
            stepper.context.abort(True)
            codes.append(LlamaContext.decode(stepper.context, batch, causal=causal))
            return codes[-1]

        shared = list(range(100, 170))
        with Stepper(any_model, n_seq=3, n_batch=32, **exact) as stepper:
            prompts = [[*shared, n, n] for n in (1, 2)]
            stepper.answer(shared, max_tokens=1)
            numbers = [stepper.add(prompt, max_tokens=20) for prompt in prompts]
            numbers.append(stepper.add([*prompts[0], *[3] * 60], max_tokens=20))
            for _ in range(3):
                stepper.step()
                with monkeypatch.context() as patch:
                    patch.setattr(stepper.context, "decode", broken_off)
                    stepper.step()
            stepper.run(*numbers)
            assert codes == [DECODE_ABORTED] * 3
            for number, prompt in zip(numbers, [*prompts, [*prompts[0], *[3] * 60]], strict=True):
                assert stepper.output(number) == alone(any_model, prompt, max_tokens=20)

    @settings(max_examples=15, deadline=None)
    @example(seed=3274, n_seq=2, n_batch=64)  # two tokens a hundred-thousandth apart
    @given(seed=st.integers(0, 2**32), n_seq=st.integers(1, 4), n_batch=st.sampled_from([8, 64, 512]))
    def test_any_interleaving_gives_each_prompt_its_own_answer(
        self, any_model: LlamaModel, exact: dict[str, Any], seed: int, n_seq: int, n_batch: int
    ) -> None:
        """Prompts with shared prefixes come, run, are cancelled and end in any order over any number of slots."""
        source = chance.Random(seed)
        stems = [[source.randrange(256) for _ in range(source.randint(1, 50))] for _ in range(3)]
        asked: dict[int, list[int]] = {}
        with Stepper(any_model, n_ctx=96, n_seq=n_seq, n_batch=n_batch, **exact) as stepper:
            for _ in range(12):
                prompt = source.choice(stems)[: source.randint(1, 50)]
                prompt = [*prompt, *(source.randrange(4) for _ in range(source.randint(0, 20)))]
                number = stepper.add(prompt, max_tokens=source.choice([1, 5, 60]))
                asked[number] = prompt
                for _ in range(source.choice([0, 0, 1, 5, 30])):
                    stepper.step()
                if source.random() < 0.3:
                    stepper.batcher.cancel(source.choice(list(asked)))
                if stepper.done and source.random() < 0.3:  # a conversation goes on
                    stems.append((source.choice(list(stepper.done.values())).tokens or stems[0])[:70])
            stepper.run(*asked)
            distinct = stepper.batcher.cells_used
            assert 0 <= distinct <= sum(len(slot.cells) for slot in stepper.batcher._cache.slots)
            for number, prompt in asked.items():
                if stepper.done[number].tokens is None:  # cancelled before it had a slot
                    continue
                said = stepper.output(number)
                expected = alone(any_model, prompt, n_ctx=96, max_tokens=max(1, len(said)))[: len(said)]
                same = next((n for n, pair in enumerate(zip(said, expected, strict=True)) if pair[0] != pair[1]), None)
                assert same is None or are_alike(any_model, [*prompt, *said[:same]], said[same], expected[same])
