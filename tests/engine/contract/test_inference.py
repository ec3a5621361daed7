"""The contract of the verbs that make a model speak, whichever engine does them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, ModelNotFound
from ollama_engine.types import ChatRequest, GenerateRequest, Message, RunningModel
from tests.engine.contract.conftest import TEXT, import_gguf
from tests.support.gguf_models import looping_model

USER = [Message("user", "Tell me.")]


async def states(engine: Engine) -> AsyncIterator[dict[str, RunningModel]]:
    while True:
        yield {model.name: model for model in await engine.running()}


async def test_chat_says_the_whole_text_in_pieces_and_ends_with_its_metrics(engine: Engine, story: str) -> None:
    chunks = [chunk async for chunk in engine.chat(ChatRequest(story, USER))]
    assert "".join(chunk.message.content for chunk in chunks) == TEXT
    assert len(chunks) > 2
    assert all(chunk.model == story and chunk.created_at.endswith("Z") for chunk in chunks)
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    last = chunks[-1]
    assert last.done_reason == "stop"
    assert last.eval_count > 10
    assert last.prompt_eval_count > 0
    assert last.total_duration >= last.eval_duration > 0


async def test_generate_says_the_same_and_gives_its_context(engine: Engine, story: str) -> None:
    chunks = [chunk async for chunk in engine.generate(GenerateRequest(story, "Tell me."))]
    assert "".join(chunk.response for chunk in chunks) == TEXT
    assert chunks[-1].done
    assert chunks[-1].context


async def test_the_bundled_model_speaks(engine: Engine) -> None:
    request = ChatRequest("bard", USER, options={"num_predict": 12, "seed": 1})
    chunks = [chunk async for chunk in engine.chat(request)]
    assert "".join(chunk.message.content for chunk in chunks).strip()
    assert (chunks[-1].done_reason, chunks[-1].eval_count) in {("length", 12), ("stop", chunks[-1].eval_count)}


async def test_a_length_limit_ends_with_length(engine: Engine, loop: str) -> None:
    chunks = [chunk async for chunk in engine.generate(GenerateRequest(loop, "x", options={"num_predict": 5}))]
    assert (chunks[-1].done_reason, chunks[-1].eval_count) == ("length", 5)


async def test_a_stop_string_ends_the_text_before_itself(engine: Engine, story: str) -> None:
    chunks = [chunk async for chunk in engine.chat(ChatRequest(story, USER, options={"stop": ["café"]}))]
    assert "".join(chunk.message.content for chunk in chunks) == TEXT.partition("café")[0]
    assert (chunks[-1].done_reason, chunks[-1].stop_sequence) == ("stop", "café")


async def test_closing_a_stream_frees_the_model_at_once(engine: Engine, loop: str) -> None:
    request = ChatRequest(loop, USER, options={"num_predict": 100_000})
    async with aclosing(engine.chat(request)) as chunks:
        assert not (await anext(chunks)).done
        [running] = await engine.running()
        assert running.state == "busy"
    async with asyncio.timeout(10):
        async for models in states(engine):
            if models["loop:latest"].state == "idle":
                break


async def test_streams_of_one_model_run_side_by_side(engine: Engine, story: str) -> None:
    async def ask() -> str:
        return "".join([chunk.message.content async for chunk in engine.chat(ChatRequest(story, USER))])

    assert await asyncio.gather(*(ask() for _ in range(6))) == [TEXT] * 6


async def test_load_and_unload_bring_a_model_in_and_out(engine: Engine, story: str) -> None:
    assert await engine.running() == []
    await engine.load(story, keep_alive="10m")
    [running] = await engine.running()
    assert (running.name, running.model) == ("story:latest", "story:latest")
    assert running.size > 0
    assert running.context_length > 0
    assert running.expires_at
    assert running.pid > 0
    await engine.unload(story)
    async with asyncio.timeout(10):
        async for models in states(engine):
            if not models:
                break


async def test_empty_requests_load_and_unload_with_one_chunk(engine: Engine, story: str) -> None:
    [loaded] = [chunk async for chunk in engine.chat(ChatRequest(story))]
    assert (loaded.done, loaded.done_reason, loaded.message.content) == (True, "load", "")
    [unloaded] = [chunk async for chunk in engine.generate(GenerateRequest(story, keep_alive=0))]
    assert (unloaded.done, unloaded.done_reason, unloaded.response) == (True, "unload", "")


async def test_render_only_shows_the_prompt_and_runs_nothing(engine: Engine, story: str) -> None:
    request = ChatRequest(story, [Message("system", "S"), *USER], debug_render_only=True)
    [chunk] = [chunk async for chunk in engine.chat(request)]
    assert chunk.debug_info is not None
    assert "<|im_start|>user\nTell me.<|im_end|>" in chunk.debug_info.rendered_template
    assert await engine.running() == []


async def test_what_was_left_out_to_fit_the_context_is_counted_on_the_last_chunk(engine: Engine, story: str) -> None:
    talk = [Message(role, f"{number} " + "w" * 50) for number in range(6) for role in ("user", "assistant")]
    request = ChatRequest(story, [*talk, *USER], options={"num_ctx": 256})
    last = [chunk async for chunk in engine.chat(request)][-1]
    assert last.dropped_messages == 10  # a pair of messages and the last one fit into 255 bytes
    assert last.truncated_tokens == 0
    assert last.prompt_eval_count < 256
    last = [chunk async for chunk in engine.chat(ChatRequest(story, USER, options={"num_ctx": 256}))][-1]
    assert (last.dropped_messages, last.truncated_tokens) == (0, 0)


async def test_what_was_cut_out_of_a_single_prompt_is_counted_in_tokens(engine: Engine, story: str) -> None:
    long = "x" * 1000
    said = [chunk async for chunk in engine.generate(GenerateRequest(story, long, raw=True, options={"num_ctx": 256}))]
    assert said[-1].truncated_tokens == 1000 - said[-1].prompt_eval_count > 700
    last = [
        chunk async for chunk in engine.chat(ChatRequest(story, [Message("user", long)], options={"num_ctx": 256}))
    ][-1]
    assert last.dropped_messages == 0
    assert last.truncated_tokens > 700
    with pytest.raises(InvalidRequest, match="longer than the context"):
        await anext(engine.generate(GenerateRequest(story, long, raw=True, truncate=False, options={"num_ctx": 256})))


async def test_a_grammar_is_kept(engine: Engine, story: str) -> None:
    """The model would say something else, had it the choice."""
    grammar = 'root ::= "<" [ab]{3} ">"'
    said = [chunk async for chunk in engine.generate(GenerateRequest(story, "x", grammar=grammar))]
    assert re.fullmatch("<[ab]{3}>", "".join(chunk.response for chunk in said))
    told = [chunk async for chunk in engine.chat(ChatRequest(story, USER, grammar=grammar))]
    assert re.fullmatch("<[ab]{3}>", "".join(chunk.message.content for chunk in told))
    assert told[-1].done_reason == "stop"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"grammar": 'root ::= "a'}, "invalid grammar at line 1, column 10: the text that begins here"),
        ({"grammar": "root ::= more"}, 'column 10: there is no rule named "more"'),
        ({"grammar": 'root ::= root "a" | "b"'}, "left recursion"),
        ({"grammar": 'root ::= "a"', "format": "json"}, "format and grammar cannot be kept both"),
    ],
)
async def test_a_grammar_that_cannot_be_kept_is_refused_before_the_model_is_asked(
    engine: Engine, story: str, fields: dict[str, str], words: str
) -> None:
    for chunks in (
        engine.generate(GenerateRequest(story, "x", **fields)),
        engine.chat(ChatRequest(story, USER, **fields)),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await anext(chunks)
    assert await engine.running() == []


async def test_a_missing_model_is_not_found(engine: Engine) -> None:
    with pytest.raises(ModelNotFound, match="model 'nope' not found") as error:
        await anext(engine.chat(ChatRequest("nope", USER)))
    assert error.value.name == "nope"
    with pytest.raises(ModelNotFound, match="model 'nope' not found"):
        await anext(engine.generate(GenerateRequest("nope", "x")))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ChatRequest("story", USER, think=True), "does not support thinking"),
        (ChatRequest("story", USER, think="loudly"), "invalid think value"),
        (ChatRequest("story", USER, top_logprobs=21), "top_logprobs must be between 0 and 20"),
        (ChatRequest("story", USER, keep_alive="10"), "missing unit"),
        (GenerateRequest("story", "x", raw=True, system="s"), "raw mode does not support"),
        (GenerateRequest("story", "x", suffix="y"), "does not support insert"),
    ],
)
async def test_bad_requests_are_refused_by_name(
    engine: Engine, story: str, request_: ChatRequest | GenerateRequest, words: str
) -> None:
    chunks = engine.chat(request_) if isinstance(request_, ChatRequest) else engine.generate(request_)
    with pytest.raises(InvalidRequest, match=words):
        await anext(chunks)
    assert [model.state for model in await engine.running() if model.state == "busy"] == []


async def test_the_last_chunk_says_how_much_of_the_prompt_was_in_the_cache(engine: Engine, story: str) -> None:
    said = [
        [chunk async for chunk in engine.generate(GenerateRequest(story, "Tell me.", raw=True))][-1] for _ in range(2)
    ]
    assert said[0].prompt_eval_count == said[1].prompt_eval_count == len("Tell me.")
    assert [last.cached_tokens for last in said] == [0, len("Tell me.") - 1]
    chats = [[chunk async for chunk in engine.chat(ChatRequest(story, USER))][-1] for _ in range(2)]
    assert chats[1].cached_tokens == chats[1].prompt_eval_count - 1


async def test_a_model_stuck_on_one_token_ends_with_a_reason(engine: Engine, tmp_path: Path) -> None:
    await import_gguf(engine, "stuck", looping_model(tmp_path / "stuck.gguf", "ha", split=2))
    chat = [chunk async for chunk in engine.chat(ChatRequest("stuck", USER))]
    generate = [chunk async for chunk in engine.generate(GenerateRequest("stuck", "x"))]
    for last in (chat[-1], generate[-1]):
        assert (last.done, last.done_reason) == (True, "repetition")
        assert last.eval_count > 100
    assert "".join(chunk.message.content for chunk in chat) == "ha" * chat[-1].eval_count


async def test_an_answer_that_ignores_its_end_goes_on_to_its_limit(engine: Engine, tmp_path: Path, story: str) -> None:
    options = {"ignore_eos": True, "num_predict": 300}
    await import_gguf(engine, "stuck", looping_model(tmp_path / "stuck.gguf", "ha", split=2))
    for model in (story, "stuck"):
        last = [chunk async for chunk in engine.generate(GenerateRequest(model, "x", options=options))][-1]
        assert (last.done_reason, last.eval_count) == ("length", 300)


async def test_log_probabilities_come_with_the_text_they_are_of(engine: Engine, story: str) -> None:
    asked = GenerateRequest(story, "Tell me.", logprobs=True, top_logprobs=2)
    chunks = [chunk async for chunk in engine.generate(asked)]
    found = [one for chunk in chunks for one in chunk.logprobs or ()]
    assert bytes(byte for one in found for byte in one.bytes or ()) == TEXT.encode()
    assert len(found) == chunks[-1].eval_count - 1
    assert all(one.top_logprobs and len(one.top_logprobs) == 2 and one.logprob <= 0 for one in found)
    talk = [chunk async for chunk in engine.chat(ChatRequest(story, USER, logprobs=True))]
    assert len([one for chunk in talk for one in chunk.logprobs or ()]) == len(found)
    assert all(one.top_logprobs is None for chunk in talk for one in chunk.logprobs or ())
    silent = [chunk async for chunk in engine.chat(ChatRequest(story, USER))]
    assert not any(chunk.logprobs for chunk in silent)


async def test_a_bias_forbids_a_token_or_is_refused_by_name(engine: Engine, story: str) -> None:
    first = [
        chunk async for chunk in engine.generate(GenerateRequest(story, "x", raw=True, options={"num_predict": 1}))
    ]
    assert TEXT.startswith(first[0].response)
    with pytest.raises(InvalidRequest, match="logit_bias: token 99999999"):
        async for _ in engine.chat(ChatRequest(story, USER, options={"logit_bias": {"99999999": 1}})):
            pass
