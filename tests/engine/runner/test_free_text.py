"""Thinking is free and what follows it keeps to the grammar, in one pass."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from ollama_engine.runner.protocol import FreeText, Sampling
from tests.engine.runner.running import answer, running
from tests.support.gguf_models import many_scripts_model, scripted_model, selector

THINK = FreeText("<think>", "</think>")
INSIDE = FreeText("<think>", "</think>", inside=True)
HARMONY = FreeText("<|channel|>analysis<|message|>", "<|end|>")
FINAL = '"<|start|>assistant"? "<|channel|>final<|message|>" '
ANSWER = '"{" ("yes" | "no") "}"'


def sampling(free: FreeText | None, grammar: str = ANSWER) -> Sampling:
    return Sampling(temperature=0, grammar=f"root ::= {grammar}", free_text=free)


THOUGHT = {
    "thinking": ("<think>\nIs it {so}? </thin", "</think>", "{yes}", THINK, ANSWER),
    "white space before it": (" \n<think>", "</think>", "{no}", THINK, ANSWER),
    "white space behind it": ("<think>So", "</think>\n\n", "{no}", THINK, ANSWER),
    "opened by the prompt": ("Well. {", "</think>", "{yes}", INSIDE, ANSWER),
    "harmony": (
        "<|channel|>analysis<|message|>Hm.",
        "<|end|>",
        "<|start|>assistant<|channel|>final<|message|>{no}",
        HARMONY,
        FINAL + ANSWER,
    ),
}


@pytest.mark.parametrize("name", THOUGHT)
async def test_what_the_model_thinks_is_free_wherever_its_tokens_end(tmp_path: Path, name: str) -> None:
    thought, close, said, free, grammar = THOUGHT[name]
    data = (thought + close).encode()
    scripts = [[data[:at], data[at:], said.encode()] for at in range(1, len(data))]
    # As a token of its own llama.cpp takes it for the end of an answer, unless the vocabulary is gpt-oss's.
    scripts = [script for script in scripts if b"<|end|>" not in script]
    async with running(many_scripts_model(tmp_path / "m.gguf", scripts, template=None)) as runner:
        for k, script in enumerate(scripts):
            given = await answer(runner, "x" + selector(k), sampling=sampling(free, grammar), max_tokens=200)
            if name == "white space behind it" and script[1].isspace():
                assert given.text == script[0].decode() + said  # a token of white space alone is the answer's already
                continue
            assert (given.text, given.done.reason) == (thought + close + said, "stop"), script
            assert (given.done.prompt_tokens, given.done.output_tokens) == (2, 4)


@pytest.mark.parametrize(
    ("text", "free", "grammar"),
    [("{no}", THINK, ANSWER), ("{no}", None, ANSWER), ("<|channel|>final<|message|>{no}", HARMONY, FINAL + ANSWER)],
)
async def test_an_answer_without_thinking_keeps_to_the_grammar_from_its_first_token(
    tmp_path: Path, text: str, free: FreeText | None, grammar: str
) -> None:
    data = text.encode()
    scripts = [[data[:at], data[at:]] for at in range(1, len(data))]
    async with running(many_scripts_model(tmp_path / "m.gguf", scripts, template=None)) as runner:
        for k, script in enumerate(scripts):
            given = await answer(runner, "x" + selector(k), sampling=sampling(free, grammar), max_tokens=200)
            assert (given.text, given.done.reason) == (text, "stop"), script


async def test_what_follows_the_thinking_cannot_leave_the_grammar(tmp_path: Path) -> None:
    """The model wants to go on in words, in the token that closes the thinking and in the next one."""
    for k, pieces in enumerate([[b"<think>", b"So.</think>", b"Yes, it is."], [b"<think>", b"So.</think>Yes", b"!?"]]):
        path = many_scripts_model(tmp_path / f"{k}.gguf", [pieces], template=None)
        async with running(path) as runner:
            free = await answer(runner, "x" + selector(0), sampling=Sampling(temperature=0), max_tokens=50)
            assert free.text == b"".join(pieces).decode()
            held = await answer(runner, "x" + selector(0), sampling=sampling(THINK), max_tokens=50)
        thought, _, said = held.text.partition("</think>")
        assert said in ("{yes}", "{no}") if k == 0 else not said or said in ("{yes}", "{no}")
        assert thought.startswith("<think>")


async def test_white_space_alone_is_no_beginning(tmp_path: Path) -> None:
    path = many_scripts_model(tmp_path / "m.gguf", [[b"\n\n", b"{no}"]], template=None)
    async with running(path) as runner:
        given = await answer(runner, "x" + selector(0), sampling=sampling(THINK), max_tokens=50)
    assert (given.text, given.done.reason) == ("\n\n{no}", "stop")


async def test_half_an_opening_marker_becomes_a_whole_one_where_no_answer_begins_so(
    tmp_path: Path,
) -> None:
    path = many_scripts_model(tmp_path / "m.gguf", [[b"<th", b"ou </think>", b"{no}"]], template=None)
    async with running(path) as runner:
        given = await answer(runner, "x" + selector(0), sampling=sampling(THINK), max_tokens=50)
    assert given.text.startswith("<think>")


async def test_without_thinking_the_first_token_is_held(tmp_path: Path) -> None:
    path = scripted_model(tmp_path / "m.gguf", "<think>So.</think>{yes}", template=None)
    async with running(path) as runner:
        given = await answer(runner, "x", sampling=sampling(None), max_tokens=50)
    assert re.fullmatch(r"\{(yes|no)\}", given.text)


async def test_requests_side_by_side_think_each_for_itself(tmp_path: Path) -> None:
    texts = [f"<think>{'n' * k} so {k}</think>" for k in range(1, 9)]
    scripts = [[text.encode(), b"{yes}"] for text in texts]
    path = many_scripts_model(tmp_path / "m.gguf", scripts, template=None)
    async with running(path, n_seq=4) as runner:
        given = await asyncio.gather(
            *(answer(runner, "x" + selector(k), sampling=sampling(THINK), max_tokens=50) for k in range(len(texts)))
        )
    assert [one.text for one in given] == [text + "{yes}" for text in texts]
