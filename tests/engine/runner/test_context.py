"""What the KV cells are used for: room, what happens when it is full, and what is read from them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.runner.running import BARD, answer, running
from tests.support.gguf_models import looping_model


class TestFullContext:
    async def test_without_shift_the_answer_ends_with_length(self, looping: Path) -> None:
        async with running(looping, n_ctx=64) as runner:
            got = await answer(runner, [1] * 10, shift=False)
            assert got.done.reason == "length"
            assert got.done.output_tokens == 64 - 10 + 1  # the last one need not be decoded
            assert got.text.startswith("round and round it goes, " * 6)

    async def test_with_shift_the_answer_goes_on(self, looping: Path) -> None:
        async with running(looping, n_ctx=64) as runner:
            got = await answer(runner, [1] * 10, max_tokens=500)
            assert got.done.output_tokens == 500
            assert got.text.startswith("round and round it goes, " * 50)
            assert (await runner.stats()).cells_used <= 64

    @pytest.mark.parametrize("keep", [-1, 0, 5, 63, 10_000])
    async def test_any_number_of_kept_tokens_leaves_room(self, looping: Path, keep: int) -> None:
        async with running(looping, n_ctx=64) as runner:
            assert (await answer(runner, max_tokens=300, keep=keep)).done.output_tokens == 300

    @pytest.mark.parametrize("shift", [True, False])
    async def test_a_prompt_that_leaves_one_token_of_room(self, looping: Path, shift: bool) -> None:
        async with running(looping, n_ctx=64) as runner:
            got = await answer(runner, [1] * 63, shift=shift, max_tokens=20)
            assert got.done.output_tokens == (20 if shift else 2)

    async def test_a_request_may_have_less_context_than_the_runner(self, looping: Path) -> None:
        async with running(looping, n_ctx=512) as runner:
            for n_ctx in (64, 100):
                got = await answer(runner, [1] * 10, n_ctx=n_ctx, shift=False)
                assert (got.done.reason, got.done.output_tokens) == ("length", n_ctx - 10 + 1)
            got = await answer(runner, [1] * 10, n_ctx=100_000, shift=False)
            assert got.done.output_tokens == 512 - 10 + 1

    async def test_every_sequence_has_the_whole_context(self, looping: Path) -> None:
        async with running(looping, n_ctx=200, n_seq=3) as runner:
            assert runner.info.n_ctx == 200
            for _ in range(3):
                assert (await answer(runner, [1] * 10, shift=False)).done.output_tokens == 191

    async def test_the_context_is_never_more_than_the_model_was_trained_for(self, tmp_path: Path) -> None:
        model = looping_model(tmp_path / "m.gguf", context_length=100)
        async with running(model, n_ctx=4096) as runner:
            assert runner.info.n_ctx == runner.info.n_ctx_train == 100
            assert (await answer(runner, [1] * 10, shift=False)).done.output_tokens == 91


class TestPrefixCache:
    async def test_the_same_prompt_again_costs_one_token_and_gives_the_same_text(self, random: Path) -> None:
        prompt = list(range(100))
        async with running(random) as runner:
            first = await answer(runner, prompt, max_tokens=30)
            again = await answer(runner, prompt, max_tokens=30)
        assert first.done.cached_tokens == 0
        assert (again.done.prompt_tokens, again.done.cached_tokens) == (100, 99)
        assert again.text == first.text

    async def test_a_conversation_that_goes_on_reads_only_what_is_new(self) -> None:
        async with running(BARD) as runner:
            first = await answer(runner, "Speak, good sir", max_tokens=40, return_tokens=True)
            assert first.done.tokens is not None
            longer = [*first.done.tokens, *await runner.tokenize("\nAnd more?", add_special=False)]
            second = await answer(runner, longer, max_tokens=40)
            # All but the last token of the answer, which was said and never decoded.
            assert second.done.cached_tokens == len(first.done.tokens) - 1
        async with running(BARD) as runner:
            assert (await answer(runner, longer, max_tokens=40)).text == second.text

    async def test_what_differs_is_read_anew(self, random: Path) -> None:
        shared, one, two = [9] * 50, [1] * 20, [2] * 30
        async with running(random) as runner:
            await answer(runner, shared + one, max_tokens=20)
            got = await answer(runner, shared + two, max_tokens=20)
            assert got.done.cached_tokens == 50
        async with running(random) as runner:
            assert (await answer(runner, shared + two, max_tokens=20)).text == got.text

    async def test_the_slot_that_shares_most_is_taken(self, random: Path) -> None:
        prompts = [[n] * 40 for n in range(1, 5)]
        async with running(random, n_seq=4) as runner:
            for prompt in prompts:
                await answer(runner, prompt, max_tokens=2)
            for prompt in reversed(prompts):
                assert (await answer(runner, prompt, max_tokens=2)).done.cached_tokens == 39

    async def test_cells_moved_by_a_shift_are_not_given_to_a_later_prompt(self, random: Path) -> None:
        """They were computed with other cells before them, and would give another text."""
        async with running(random, n_ctx=64) as runner:
            got = await answer(runner, [3] * 30, max_tokens=80, keep=4, return_tokens=True)
            assert got.done.tokens is not None
            # 109 tokens were decoded; at the 64th and the 94th, 30 of them went. These are what the slot held then.
            prompt = got.done.tokens[:4] + got.done.tokens[-46:]
            again = await answer(runner, prompt, max_tokens=10)
            assert again.done.cached_tokens == 4
        async with running(random, n_ctx=64) as runner:
            assert (await answer(runner, prompt, max_tokens=10)).text == again.text

    async def test_used_cells_are_counted(self, looping: Path) -> None:
        async with running(looping, n_ctx=256, n_seq=2) as runner:
            assert (await runner.stats()).cells == 512
            await answer(runner, [1] * 100, max_tokens=1)
            stats = await runner.stats()
            assert (stats.cells_used, stats.slots_busy, stats.queued) == (100, 0, 0)
