"""What a model says comes out exactly, ends where it should, and is counted right."""

from __future__ import annotations

import asyncio
import random as chance
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.runner.protocol import MAX_FRAME, Generate, Piece, Sampling
from tests.engine.runner.running import BARD, GREEDY, answer, running, until
from tests.support.gguf_models import EOS_ID, scripted_model

TEXTS = {
    "plain": "Hello, world.\n\nSecond paragraph.",
    "emoji": "🌍🚀 family: 👨‍👩‍👧‍👦, flag: 🇨🇿, tone: 👍🏽.",
    "cjk": "你好,世界。日本語のテキスト。한국어",
    "combining": "e\u0301 a\u0308 n\u0303 \u0e01\u0e33 \u0915\u094d\u0937",
    "empty": "",
}


@pytest.mark.parametrize("split", [2, 3, 5])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_the_text_comes_out_exactly_however_tokens_cut_it(tmp_path: Path, text: str, split: int) -> None:
    async with running(scripted_model(tmp_path / "m.gguf", text, split=split)) as runner:
        got = await answer(runner)
        assert got.text == text
        assert got.done.reason == "stop"
        assert all(piece.text and "\ufffd" not in piece.text for piece in got.pieces)
        assert sum(piece.n for piece in got.pieces) <= got.done.output_tokens


async def test_counts_and_durations(tmp_path: Path) -> None:
    async with running(scripted_model(tmp_path / "m.gguf", "abcdef", split=2)) as runner:
        got = await answer(runner, "four", return_tokens=True)
        done = got.done
        assert (done.prompt_tokens, done.output_tokens) == (4, 4)  # "ab", "cd", "ef" and the end token
        assert done.prompt_duration > 0
        assert done.output_duration > 0
        assert done.tokens is not None
        assert done.tokens[:4] == list(b"four")
        assert done.tokens[-1] == EOS_ID
        assert await runner.detokenize(done.tokens) == "fourabcdef<|im_end|>"
        assert (await answer(runner, "four")).done.tokens is None


async def test_tokens_without_text_of_their_own_are_counted_with_the_next(tmp_path: Path) -> None:
    async with running(scripted_model(tmp_path / "m.gguf", "你好吗", split=2)) as runner:
        got = await answer(runner, max_tokens=4)
        assert got.text == "你好吗"
        assert sum(piece.n for piece in got.pieces) == got.done.output_tokens == 4


class TestStopStrings:
    TEXT = "User: hello\nAssistant: well, <END> and more"

    @pytest.mark.parametrize("split", [2, 3, 5])
    @pytest.mark.parametrize(
        ("stop", "expected"),
        [
            (["<END>"], "User: hello\nAssistant: well, "),
            (["<END>", "Assistant"], "User: hello\n"),
            (["more", "hello\nAss"], "User: "),
            (["User"], ""),
            (["<EN>", "nothing of the kind"], TEXT),
            (["stant: well, <END> and", "<END>"], "User: hello\nAssi"),
        ],
    )
    async def test_the_answer_ends_before_it(self, tmp_path: Path, stop: list[str], expected: str, split: int) -> None:
        async with running(scripted_model(tmp_path / "m.gguf", self.TEXT, split=split)) as runner:
            got = await answer(runner, stop=stop)
            assert (got.text, got.done.reason) == (expected, "stop")

    async def test_a_half_one_at_the_end_is_text(self, tmp_path: Path) -> None:
        async with running(scripted_model(tmp_path / "m.gguf", "wait <EN")) as runner:
            assert (await answer(runner, stop=["<END>"])).text == "wait <EN"

    async def test_a_slot_that_a_stop_string_ended_answers_again(self, looping: Path) -> None:
        async with running(looping) as runner:
            for _ in range(3):
                got = await answer(runner, stop=["it goes"])
                assert (got.text, got.done.reason) == ("round and round ", "stop")


class TestMaxTokens:
    @pytest.mark.parametrize(("n", "text"), [(0, ""), (1, "rou"), (2, "round "), (9, "round and round it goes, rou")])
    async def test_ends_the_answer_there(self, looping: Path, n: int, text: str) -> None:
        async with running(looping) as runner:
            got = await answer(runner, max_tokens=n)
            assert (got.text, got.done.reason, got.done.output_tokens) == (text, "length", n)

    async def test_negative_is_no_limit(self, tmp_path: Path) -> None:
        async with running(scripted_model(tmp_path / "m.gguf", "x" * 300)) as runner:
            assert (await answer(runner, max_tokens=-1)).text == "x" * 300


class TestTokenize:
    async def test_there_and_back(self) -> None:
        async with running(BARD) as runner:
            for text in ("To be, or not to be", "naïve 🌍 你好", "", "\n\n\ttabs"):
                tokens = await runner.tokenize(text, add_special=False)
                assert (await runner.detokenize(tokens)).lstrip(" ") == text.lstrip(" ")
                assert all(0 <= token < runner.info.n_vocab for token in tokens)

    async def test_special_tokens_are_one_token_or_plain_text(self, looping: Path) -> None:
        async with running(looping) as runner:
            assert await runner.tokenize("<|im_end|>") == [EOS_ID]
            assert await runner.tokenize("<|im_end|>", parse_special=False) == list(b"<|im_end|>")
            assert await runner.detokenize([EOS_ID]) == "<|im_end|>"

    async def test_a_token_outside_the_vocabulary_is_refused(self, looping: Path) -> None:
        async with running(looping) as runner:
            for token in (-1, runner.info.n_vocab, 2**40):
                with pytest.raises(InvalidRequest, match=str(token)):
                    await runner.detokenize([1, token])

    async def test_text_that_cannot_be_sent_is_refused_and_harms_nobody(self, looping: Path) -> None:
        async with running(looping) as runner:
            for text in ("\ud800", "x" * MAX_FRAME):
                with pytest.raises(InvalidRequest, match="cannot be asked"):
                    await runner.tokenize(text)
            assert await runner.tokenize("ok") == list(b"ok")

    async def test_it_is_answered_while_the_model_generates(self, looping: Path) -> None:
        async with running(looping) as runner:
            endless = asyncio.create_task(answer(runner))
            assert await runner.tokenize("ok") == list(b"ok")
            assert not endless.done()
            endless.cancel()


class TestInvalidRequests:
    """Each is refused with a reason, and the others go on undisturbed."""

    @pytest.mark.parametrize(
        ("tokens", "reason"),
        [
            ([], "no tokens"),
            ([1] * 512, "512 tokens, the context 512"),
            ([1] * 5000, "5000 tokens, the context 512"),
            ([1, -1], "vocabulary"),
            ([2**31], "vocabulary"),
        ],
        ids=["empty", "just too long", "far too long", "negative", "unknown"],
    )
    async def test_prompts(self, looping: Path, tokens: list[int], reason: str) -> None:
        async with running(looping, n_seq=2) as runner:
            other = asyncio.create_task(answer(runner, max_tokens=300))
            with pytest.raises(InvalidRequest, match=reason):
                await answer(runner, tokens)
            assert (await other).done.output_tokens == 300

    @pytest.mark.parametrize(
        "grammar", ["root ::= (", "other ::= [a-z]", 'root ::= root "a"', "root ::= missing", "root ::= [a-z"]
    )
    async def test_grammars(self, looping: Path, grammar: str) -> None:
        async with running(looping, n_seq=2) as runner:
            other = asyncio.create_task(answer(runner, max_tokens=300))
            with pytest.raises(InvalidRequest, match="grammar"):
                await answer(runner, sampling=Sampling(grammar=grammar))
            assert (await other).done.output_tokens == 300
            assert (await runner.stats()).slots_busy == 0

    async def test_a_smaller_context_of_the_request_counts(self, looping: Path) -> None:
        async with running(looping) as runner:
            with pytest.raises(InvalidRequest, match="100 tokens, the context 64"):
                await answer(runner, [1] * 100, n_ctx=64)


async def test_a_grammar_holds_the_answer() -> None:
    async with running(BARD) as runner:
        for seed in range(5):
            got = await answer(
                runner, "To be", sampling=Sampling(seed=seed, grammar='root ::= "yes" | "no" [0-9]+ "."')
            )
            assert got.text == "yes" or (got.text.startswith("no") and got.text[2:-1].isdigit()), got.text


class TestTogether:
    """Requests in one batch get the text they would get alone."""

    async def test_more_requests_than_slots(self, tmp_path: Path, random: Path) -> None:
        source = chance.Random(1)
        prompts = ["".join(source.choices("abc xyz", k=n)) for n in (1, 300, 7, 40, 90, 3, 200, 11)]
        alone = {}
        for prompt in prompts:
            async with running(random) as runner:
                alone[prompt] = (await answer(runner, prompt, max_tokens=40)).text
        assert len(set(alone.values())) > 4
        async with running(random, n_seq=4, n_batch=64) as runner:
            together = await asyncio.gather(*(answer(runner, prompt, max_tokens=40) for prompt in prompts))
            assert {prompt: got.text for prompt, got in zip(prompts, together, strict=True)} == alone
            stats = await runner.stats()
            assert (stats.slots, stats.slots_busy, stats.queued) == (4, 0, 0)

    async def test_a_scripted_text_beside_endless_ones(self, tmp_path: Path) -> None:
        text = "One text, said by eight at once: 🌍 你好."
        async with running(scripted_model(tmp_path / "m.gguf", text), n_seq=4) as runner:
            answers = await asyncio.gather(*(answer(runner, "p" * n) for n in range(1, 9)))
            assert [got.text for got in answers] == [text] * 8

    async def test_a_long_prompt_does_not_stop_the_others(self, random: Path) -> None:
        """While a prompt of many batches is read, each step gives the running stream its token."""
        async with running(random, n_seq=2, n_ctx=2048, n_batch=32) as runner:
            order: list[str] = []

            async def stream() -> None:
                tokens = await runner.tokenize("go")
                async for part in runner.generate(Generate(0, tokens, max_tokens=200, sampling=GREEDY)):
                    if isinstance(part, Piece):
                        order.append("stream")

            streaming = asyncio.create_task(stream())
            await until(lambda: order)
            before = len(order)
            await answer(runner, [5] * 1200, max_tokens=1)  # 38 batches and more
            assert len(order) - before >= 30
            await streaming
