"""What stands in a step's batch: streams first, prompts in the room that is left, nobody waits longer than a step."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.pace import LONGEST, SHORTEST, SLOWER, TILE, Pace
from tests.engine.runner.stepping import Stepper, load
from tests.support.gguf_models import looping_model


@pytest.fixture(scope="module")
def looping(tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    return load(looping_model(tmp_path_factory.mktemp("models") / "m.gguf", "round and round it goes, "))


@pytest.fixture
def stepper(looping: LlamaModel) -> Iterator[Stepper]:
    with Stepper(looping, n_ctx=4096, n_seq=4, n_batch=512) as stepper:
        yield stepper


@pytest.fixture
def pooled(looping: LlamaModel) -> Iterator[Stepper]:
    """All sequences in one pool of KV cells, as on a GPU."""
    with Stepper(looping, n_ctx=4096, n_seq=4, n_batch=512, kv_unified=True) as stepper:
        yield stepper


def prompt(n: int, token: int = 1) -> list[int]:
    return [token] * n


class TestPace:
    def test_alone_a_prompt_gets_the_whole_batch(self) -> None:
        assert Pace(512).chunk(0) == 512

    def test_before_anything_is_measured_a_chunk_is_small(self) -> None:
        assert Pace(512).chunk(1) == TILE - 1
        assert Pace(16).chunk(1) == 15

    @given(decode=st.floats(0.0005, 0.5), speed=st.floats(10, 50_000), streams=st.integers(1, 8), n_batch=st.just(512))
    def test_a_step_with_streams_takes_a_few_times_as_long_as_one_without_prompts(
        self, decode: float, speed: float, streams: int, n_batch: int
    ) -> None:
        """On a machine that needs `decode` seconds a step and reads `speed` tokens of prompt a second."""
        pace = Pace(n_batch)
        for _ in range(5):
            pace.measured(decode, streams, 0)
        for _ in range(30):
            chunk = pace.chunk(streams)
            pace.measured(decode + chunk / speed, streams, chunk)
        chunk = pace.chunk(streams)
        assert TILE <= chunk + streams <= n_batch
        assert (chunk + streams) % TILE == 0
        allowed = min(max(SLOWER * decode, SHORTEST), LONGEST)
        assert chunk + streams == TILE or chunk / speed <= allowed * 1.35
        # Nor is the room wasted: a chunk more would be too much, or does not fit.
        assert (chunk + 2 * TILE) / speed > allowed * 0.75 or chunk + streams == n_batch

    def test_a_machine_that_slows_down_gets_smaller_chunks(self) -> None:
        pace = Pace(512)
        pace.measured(0.02, 1, 0)
        for _ in range(20):
            pace.measured(0.01 + 256 / 5000, 1, 256)
        before = pace.chunk(1)
        for _ in range(20):
            pace.measured(0.01 + 256 / 500, 1, 256)
        assert pace.chunk(1) < before


class TestBatches:
    def test_a_prompt_alone_is_read_in_whole_batches(self, stepper: Stepper) -> None:
        number = stepper.add(prompt(1200), max_tokens=1)
        seen: list[int] = []
        while not stepper.ended(number):
            stepper.step()
            seen.append(stepper.batch[number])
        assert seen == [512, 512, 176]

    def test_a_stream_gets_its_token_in_every_step_of_a_long_prompt(self, pooled: Stepper) -> None:
        stream = pooled.add(prompt(5))
        pooled.step()
        long = pooled.add(prompt(4000, 2), max_tokens=1)
        while not pooled.ended(long):
            pooled.step()
            assert pooled.batch[stream] == 1
            assert pooled.batch.get(long, 0) <= 511

    def test_streams_and_a_long_prompt_take_turns_where_each_has_cells_of_its_own(self, stepper: Stepper) -> None:
        streams = [stepper.add(prompt(5, token)) for token in (1, 2)]
        for _ in range(2):  # their prompts, then a token of each
            stepper.step()
        long = stepper.add(prompt(2000, 3), max_tokens=1)
        turns: list[set[int]] = []
        while not stepper.ended(long):
            stepper.step()
            turns.append(set(stepper.batch))
        assert turns[:-1:2] == [{long}] * len(turns[:-1:2])
        assert turns[1::2] == [set(streams)] * len(turns[1::2])

    def test_streams_are_decoded_in_the_order_of_their_slots(self, looping: LlamaModel) -> None:
        """Else llama.cpp computes them one by one."""
        with Stepper(looping, n_seq=3) as stepper:
            numbers = [stepper.add(prompt(5, token), max_tokens=40) for token in (1, 2, 3)]
            stepper.step()
            stepper.batcher.cancel(numbers[0])
            newest = stepper.add(prompt(5, 4), max_tokens=40)  # takes the first slot
            while not stepper.texts[newest]:
                stepper.step()
            stepper.step()
            batch = stepper.batcher._batch
            assert batch.seq[: batch.n_tokens].tolist() == [0, 1, 2]

    def test_a_stream_leaves_prompts_less_than_the_whole_batch_at_first(self, stepper: Stepper) -> None:
        stepper.add(prompt(5))
        stepper.step()
        long = stepper.add(prompt(4000, 2), max_tokens=1)
        while long not in stepper.batch:
            stepper.step()
        assert stepper.batch[long] <= 512 // 2

    def test_prompts_are_read_one_after_the_other(self, stepper: Stepper) -> None:
        numbers = [stepper.add(prompt(600, token), max_tokens=1) for token in (1, 2, 3)]
        ended: list[int] = []
        while len(ended) < 3:
            stepper.step()
            assert len(stepper.batch) <= 2
            ended += [number for number in numbers if stepper.ended(number) and number not in ended]
        assert ended == numbers

    def test_short_prompts_that_keep_coming_do_not_starve_a_long_one(self, stepper: Stepper) -> None:
        long = stepper.add(prompt(4000, 1), max_tokens=1)
        steps = 0
        while not stepper.ended(long):
            while stepper.batcher.slots_busy + stepper.batcher.queued < 4:
                stepper.add(prompt(500, steps % 200), max_tokens=1)
            stepper.step()
            steps += 1
            assert steps < 40

    def test_what_a_short_prompt_does_not_need_the_others_get(self, stepper: Stepper) -> None:
        long = stepper.add(prompt(1000, 1), max_tokens=1)
        short = stepper.add(prompt(12, 2), max_tokens=1)
        stepper.step()
        assert stepper.batch == {short: 12, long: 500}
        assert stepper.ended(short)

    def test_a_request_beyond_the_slots_waits_and_can_be_cancelled(self, stepper: Stepper) -> None:
        running = [stepper.add(prompt(3, token)) for token in range(1, 5)]
        waiting = [stepper.add(prompt(3, token), max_tokens=2) for token in (5, 6)]
        stepper.step()
        assert (stepper.batcher.slots_busy, stepper.batcher.queued) == (4, 2)
        stepper.batcher.cancel(waiting[0])
        stepper.step()
        assert stepper.done[waiting[0]].reason == "canceled"
        stepper.batcher.cancel(running[2])
        stepper.run(waiting[1])
        assert stepper.done[waiting[1]].output_tokens == 2


class TestSamePromptAtOnce:
    """What several prompts share is read once, also when none of them has read it yet."""

    def test_a_shared_beginning_is_decoded_once(self, stepper: Stepper) -> None:
        shared = list(range(250)) * 6
        numbers = [stepper.add([*shared, *prompt(20, token)], max_tokens=1) for token in (1, 2, 3)]
        decoded = 0
        while not all(map(stepper.ended, numbers)):
            stepper.step()
            decoded += sum(stepper.batch.values())
        assert decoded == len(shared) + 3 * 20
        assert [stepper.done[number].cached_tokens for number in numbers] == [0, len(shared), len(shared)]

    def test_a_short_one_does_not_wait(self, stepper: Stepper) -> None:
        stepper.add([*range(20), *prompt(1000, 1)], max_tokens=1)
        short = stepper.add([*range(20), *prompt(5, 2)], max_tokens=1)
        stepper.step()
        assert stepper.ended(short)

    def test_when_the_first_is_cancelled_the_next_goes_on_from_there(self, stepper: Stepper) -> None:
        numbers = [stepper.add([*prompt(2000, 7), token], max_tokens=5) for token in (1, 2, 3)]
        stepper.step()
        stepper.batcher.cancel(numbers[0])
        stepper.run(*numbers)
        assert [stepper.done[number].cached_tokens for number in numbers] == [0, 512, 2000]
        assert stepper.done[numbers[1]].output_tokens == stepper.done[numbers[2]].output_tokens == 5
