"""What goes wrong with one request ends that one, with a reason; the others get the answers they would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_engine.errors import RunnerError
from ollama_engine.runner import llama
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.sequence import MAX_REPEATS
from tests.engine.runner.running import answer, running
from tests.engine.runner.stepping import Stepper, load
from tests.support.gguf_models import looping_model, scripted_model
from tests.support.state_models import llama_model

EXACT = {"kv_cache_type": "f32", "flash_attention": False}
BROKEN = 7


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_model(tmp_path_factory.mktemp("models") / "broken.gguf", broken=BROKEN)


@pytest.fixture(scope="module")
def model(path: Path) -> LlamaModel:
    return load(path)


@pytest.fixture(params=[False, True], ids=["plain", "flash"])
def four(model: LlamaModel, request: pytest.FixtureRequest) -> Iterator[Stepper]:
    with Stepper(model, n_seq=4, n_batch=64, kv_cache_type="f32", flash_attention=request.param) as stepper:
        yield stepper


def alone(model: LlamaModel, prompt: list[int], n: int) -> list[int]:
    with Stepper(model, n_seq=1, **EXACT) as stepper:
        return stepper.answer(prompt, max_tokens=n)


class TestNaN:
    def test_a_prompt_that_makes_nan_fails_and_says_why(self, four: Stepper) -> None:
        number = four.add([1, BROKEN, 2], max_tokens=5)
        four.run(number)
        assert "NaN" in four.failed[number].message
        assert four.failed[number].kind == "error"
        assert four.batcher.slots_busy == 0

    def test_nothing_of_it_stays_in_the_cells(self, model: LlamaModel, four: Stepper) -> None:
        """Attention reads freed cells too, with weight 0; 0 times NaN would be NaN."""
        four.run(four.add([1, BROKEN, *range(20, 50)]))
        four.answer([5] * 10, max_tokens=3)
        assert len(four.answer([9, 8, 9] * 10, max_tokens=30)) == 30

    @pytest.mark.parametrize("length", [3, 200])
    def test_running_answers_go_on(self, model: LlamaModel, length: int) -> None:
        with Stepper(model, n_seq=4, n_batch=64, **EXACT) as stepper:
            prompts = [[n, 50, n] for n in (1, 2)]
            numbers = [stepper.add(prompt, max_tokens=60) for prompt in prompts]
            for _ in range(10):
                stepper.step()
            broken = stepper.add([3] * length + [BROKEN, *[3] * length], max_tokens=60)
            late = stepper.add([4, 4, 4], max_tokens=60)
            stepper.run(*numbers, broken, late)
            assert "NaN" in stepper.failed[broken].message
            assert list(stepper.failed) == [broken]
            for number, prompt in zip([*numbers, late], [*prompts, [4, 4, 4]], strict=True):
                assert stepper.output(number) == alone(model, prompt, 60)

    def test_two_of_them_at_once(self, model: LlamaModel) -> None:
        with Stepper(model, n_seq=4, **EXACT) as stepper:
            bad = [stepper.add([n, BROKEN, n]) for n in (1, 2)]
            good = stepper.add([5, 6], max_tokens=40)
            stepper.run(*bad, good)
            assert sorted(stepper.failed) == bad
            assert stepper.output(good) == alone(model, [5, 6], 40)

    def test_one_can_be_cancelled_while_the_culprit_is_sought(self, model: LlamaModel) -> None:
        with Stepper(model, n_seq=4, n_batch=16, kv_unified=True, **EXACT) as stepper:
            good = stepper.add([5, 6], max_tokens=40)
            other = stepper.add([7 + n for n in range(1, 60)], max_tokens=40)
            bad = stepper.add([BROKEN, *[2] * 60])
            while not stepper.batcher._suspects:
                stepper.step()
            stepper.batcher.cancel(bad)
            stepper.batcher.cancel(other)
            stepper.run(good, other, bad)
            assert {stepper.done[other].reason, stepper.done[bad].reason} == {"canceled"}
            assert stepper.output(good) == alone(model, [5, 6], 40)

    async def test_the_caller_gets_an_error_and_the_runner_lives(self, path: Path) -> None:
        async with running(path, n_seq=2) as runner:
            other = asyncio.create_task(answer(runner, [1, 2, 3], max_tokens=100))
            with pytest.raises(RunnerError, match="NaN"):
                await answer(runner, [1, BROKEN])
            assert (await other).done.output_tokens == 100


class TestFailedDecode:
    """llama.cpp refuses a batch in which positions of a sequence are missing, and all that stands in it."""

    def test_only_the_sequence_that_fails_ends(self, model: LlamaModel) -> None:
        with Stepper(model, n_seq=4, **EXACT) as stepper:
            prompts = [[n] * 5 for n in (1, 2, 3)]
            numbers = [stepper.add(prompt, max_tokens=40) for prompt in prompts]
            for _ in range(10):
                stepper.step()
            victim = stepper.batcher._running[1]
            llama.C.llama_memory_seq_rm(stepper.context.memory, victim.slot.id, 2, -1)
            stepper.run(*numbers)
            assert "could not decode" in stepper.failed[numbers[1]].message
            for number, prompt in ((numbers[0], prompts[0]), (numbers[2], prompts[2])):
                assert stepper.output(number) == alone(model, prompt, 40)
            assert stepper.answer(prompts[1], max_tokens=10) == alone(model, prompts[1], 10)


class TestRepetition:
    def test_the_same_token_without_end_ends(self, tmp_path: Path) -> None:
        model = load(looping_model(tmp_path / "m.gguf", "ha", split=2))
        with Stepper(model, n_ctx=64) as stepper:
            number = stepper.add([1, 2])
            stepper.run(number)
            done = stepper.done[number]
            assert (done.reason, done.output_tokens) == ("repetition", MAX_REPEATS + 1)
            assert stepper.texts[number] == "ha" * (MAX_REPEATS + 1)

    def test_a_limit_that_comes_first_counts(self, tmp_path: Path) -> None:
        model = load(looping_model(tmp_path / "m.gguf", "ha", split=2))
        with Stepper(model) as stepper:
            number = stepper.add([1, 2], max_tokens=200)
            stepper.run(number)
            assert (stepper.done[number].reason, stepper.done[number].output_tokens) == ("length", 200)

    def test_a_stop_string_that_comes_first_counts(self, tmp_path: Path) -> None:
        model = load(looping_model(tmp_path / "m.gguf", "ha", split=2))
        with Stepper(model) as stepper:
            number = stepper.add([1, 2], stop=["ha" * 100])
            stepper.run(number)
            assert (stepper.done[number].reason, stepper.texts[number]) == ("stop", "")

    def test_a_phrase_again_and_again_is_none(self, tmp_path: Path) -> None:
        """Two tokens in turn may be a table of zeros; a limit or the caller ends it."""
        model = load(looping_model(tmp_path / "m.gguf", "tick tock ", split=5))
        with Stepper(model, n_ctx=64) as stepper:
            number = stepper.add([1, 2], max_tokens=4 * MAX_REPEATS)
            stepper.run(number)
            assert stepper.done[number].reason == "length"

    def test_a_long_rule_is_none(self, tmp_path: Path) -> None:
        text = "-" * 200 + " end"
        path = scripted_model(tmp_path / "m.gguf", text, split=2)
        with Stepper(load(path)) as stepper:
            number = stepper.add([1, 2])
            stepper.run(number)
            assert (stepper.done[number].reason, stepper.texts[number]) == ("stop", text)
