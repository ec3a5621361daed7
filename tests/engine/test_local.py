"""LocalEngine beyond the contract: runners that die, contexts, what stays in memory, the bundled model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from ollama_engine.errors import (
    InvalidRequest,
    LoadFailed,
    ModelNotFound,
    PromptTooLong,
    RunnerDied,
    StoreError,
    TemplateError,
)
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.store.manifest import TEMPLATE
from ollama_engine.store.store import Store
from ollama_engine.types import ChatChunk, ChatRequest, CreateRequest, GenerateRequest, Message, RunningModel
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import looping_model, scripted_model

TEXT = "All the world is a stage."
DEADLINE = 30.0


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


@pytest.fixture
async def stage(engine: LocalEngine, tmp_path: Path) -> str:
    await import_gguf(engine, "stage", scripted_model(tmp_path / "stage.gguf", TEXT))
    return "stage"


@pytest.fixture
async def loop(engine: LocalEngine, tmp_path: Path) -> str:
    await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
    return "loop"


def asking(model: str, text: str = "Speak.", **fields: object) -> ChatRequest:
    return ChatRequest(model, [Message("user", text)], **fields)  # pyright: ignore[reportArgumentType]


async def answer(engine: LocalEngine, request: ChatRequest) -> tuple[str, ChatChunk]:
    chunks = [chunk async for chunk in engine.chat(request)]
    return "".join(chunk.message.content for chunk in chunks), chunks[-1]


async def the_one_running(engine: LocalEngine) -> RunningModel:
    (model,) = await engine.running()
    return model


async def until(condition: Callable[[list[RunningModel]], bool], engine: LocalEngine) -> None:
    """Ask what runs until it is as wanted."""
    async with asyncio.timeout(DEADLINE):
        while not condition(await engine.running()):
            pass


async def test_a_runner_that_dies_ends_its_request_and_the_next_one_starts_another(
    engine: LocalEngine, loop: str
) -> None:
    stream = engine.chat(asking(loop))
    await anext(stream)
    first = (await the_one_running(engine)).pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(RunnerDied, match=r"unexpectedly stopped.*signal 9"):
        async for _ in stream:
            pass
    _, last = await answer(engine, asking(loop, options={"num_predict": 5}))
    assert last.eval_count == 5
    assert (await the_one_running(engine)).pid != first


async def test_an_idle_runner_that_dies_is_replaced(engine: LocalEngine, stage: str) -> None:
    await answer(engine, asking(stage))
    os.kill((await the_one_running(engine)).pid, signal.SIGKILL)
    await until(lambda running: not running, engine)
    assert (await answer(engine, asking(stage)))[0] == TEXT


async def test_a_smaller_context_uses_the_loaded_runner_and_holds_for_that_request(
    engine: LocalEngine, loop: str
) -> None:
    await engine.load(loop)
    before = await the_one_running(engine)
    _, last = await answer(engine, asking(loop, options={"num_ctx": 64}, shift=False))
    assert last.done_reason == "length"
    assert last.prompt_eval_count + last.eval_count <= 65
    assert (await the_one_running(engine)).pid == before.pid


async def test_a_larger_context_reloads_once_the_running_answer_has_ended(engine: LocalEngine, loop: str) -> None:
    options = {"num_ctx": 128, "num_predict": 300}
    stream = engine.chat(asking(loop, options=options))
    await anext(stream)
    small = await the_one_running(engine)
    larger = asyncio.create_task(answer(engine, asking(loop, options={"num_ctx": 512, "num_predict": 5})))
    last = [chunk async for chunk in stream][-1]
    assert (last.done_reason, last.eval_count) == ("length", 300)
    await larger
    now = await the_one_running(engine)
    assert (small.context_length, now.context_length) == (128, 512)
    assert now.pid != small.pid


async def test_the_oldest_turns_go_when_a_conversation_outgrows_its_context(engine: LocalEngine, stage: str) -> None:
    history = [Message(role, f"turn {i} " + "word " * 4) for i in range(10) for role in ("user", "assistant")]
    request = ChatRequest(
        stage, [Message("system", "Be brief."), *history, Message("user", "Now.")], options={"num_ctx": 256}
    )
    text, last = await answer(engine, request)
    assert text == TEXT
    assert 128 < last.prompt_eval_count < 256


async def test_a_prompt_longer_than_the_context_is_refused_where_it_may_not_be_cut(
    engine: LocalEngine, stage: str
) -> None:
    long = asking(stage, "word " * 2000, options={"num_ctx": 128})
    assert (await answer(engine, long))[1].prompt_eval_count < 128
    for refuse in ({"shift": False}, {"truncate": False}):
        with pytest.raises(PromptTooLong, match="longer than the context length"):
            await answer(engine, asking(stage, "word " * 2000, options={"num_ctx": 128}, **refuse))
        generate = GenerateRequest(stage, "word " * 2000, options={"num_ctx": 128}, **refuse)
        with pytest.raises(PromptTooLong, match="longer than the context length"):
            await anext(engine.generate(generate))


async def test_keep_alive_0_unloads_at_once_and_a_negative_one_never(engine: LocalEngine, stage: str) -> None:
    await answer(engine, asking(stage, keep_alive=-1))
    assert (await the_one_running(engine)).expires_at > "2300"
    await answer(engine, asking(stage, keep_alive=0))
    await until(lambda running: not running, engine)


async def test_ps_tells_measured_memory_and_what_the_runner_does(engine: LocalEngine, loop: str) -> None:
    stream = engine.chat(asking(loop))
    for _ in range(50):
        await anext(stream)
    busy = await the_one_running(engine)
    assert (busy.state, busy.slots_busy) == ("busy", 1)
    assert busy.context_used > 50
    assert busy.rss > 10_000_000
    assert busy.weights > 0
    assert busy.kv_cache > 0
    assert busy.size == busy.weights + busy.kv_cache + busy.compute
    await stream.aclose()
    await until(lambda running: running[0].slots_busy == 0 and running[0].state == "idle", engine)


async def test_what_needs_more_memory_than_there_is_says_how_much(engine: LocalEngine, tmp_path: Path) -> None:
    await import_gguf(engine, "vast", scripted_model(tmp_path / "vast.gguf", TEXT, context_length=2**31 - 1))
    with pytest.raises(LoadFailed, match=r"requires more memory \(.* GiB\) than is available") as caught:
        await answer(engine, asking("vast", options={"num_ctx": 2**30}))
    assert "num_ctx" in caught.value.hint


async def test_weights_that_broke_after_they_were_read_fail_to_load_with_the_reason(
    engine: LocalEngine, stage: str, tmp_path: Path
) -> None:
    info = await engine.show(stage)
    weights = Path(next(line.split()[1] for line in info.modelfile.splitlines() if line.startswith("FROM ")))
    status = weights.stat()
    weights.write_bytes(weights.read_bytes()[: status.st_size // 2].ljust(status.st_size, b"\xff"))
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    weights.write_bytes(weights.read_bytes()[: status.st_size // 2])
    with pytest.raises((LoadFailed, InvalidRequest)) as caught:
        await answer(engine, asking(stage))
    assert caught.value.hint


async def test_a_create_cancelled_in_the_middle_leaves_the_store_in_order(engine: LocalEngine) -> None:
    async def create() -> None:
        async for _ in engine.create(CreateRequest("copy", from_="bard", system="x" * 100_000)):
            pass

    for _ in range(20):
        task = asyncio.create_task(create())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await create()
    assert (await engine.show("copy")).system == "x" * 100_000


@pytest.mark.parametrize("template", ["{{ if .Prompt }", "{{ nothing .Prompt }}", "{{ if 1 }}" * 200])
async def test_a_foreign_model_whose_template_does_not_parse_spoils_no_list(
    engine: LocalEngine, tmp_path: Path, template: str
) -> None:
    store = Store(tmp_path / "models")
    bard = store.resolve("bard")
    layer = store.add_layer(TEMPLATE, template.encode())
    broken = msgspec.structs.replace(bard.manifest, layers=[*bard.manifest.layers, layer])
    store.put_manifest("foreign", broken)
    listed = {model.name: model for model in await engine.models()}
    assert listed.keys() == {"bard:latest", "foreign:latest"}
    assert listed["foreign:latest"].capabilities == ["completion"]
    assert (await engine.show("foreign")).template == template
    with pytest.raises(TemplateError, match="template line 1"):
        await answer(engine, asking("foreign"))
    assert (await answer(engine, asking("bard")))[1].done


@pytest.mark.parametrize("first", ["user", "system"])
async def test_the_models_system_stands_first_unless_the_request_begins_with_one(
    engine: LocalEngine, first: str
) -> None:
    mine = [Message("user", "a"), Message("assistant", "b")]
    async for _ in engine.create(CreateRequest("mine", from_="bard", system="MODEL", messages=mine)):
        pass
    asked = [Message("system", "REQUEST")] if first == "system" else []
    request = ChatRequest("mine", [*asked, Message("user", "c")], debug_render_only=True)
    (chunk,) = [chunk async for chunk in engine.chat(request)]
    assert chunk.debug_info is not None
    text = chunk.debug_info.rendered_template
    assert ("MODEL" in text, "REQUEST" in text) == (first == "user", first == "system")
    if first == "user":
        assert text.index("MODEL") < text.index("\na<")


async def test_a_store_that_is_no_folder_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not a folder") as caught:
        async with LocalEngine(Settings(models=tmp_path / "file")):
            pass
    assert "OLLAMA_MODELS" in caught.value.hint


async def test_an_unknown_parameter_is_refused_with_the_nearest_one(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match="unknown parameter 'temprature'") as caught:
        async for _ in engine.create(CreateRequest("x", from_="bard", parameters={"temprature": 1})):
            pass
    assert "temperature" in caught.value.hint
    with pytest.raises(ModelNotFound):
        await engine.show("x")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "does not support tools"),
        ({"think": True}, '"bard" does not support thinking'),
        ({"think": "hard"}, "invalid think value"),
        ({"top_logprobs": 21}, "between 0 and 20"),
    ],
)
async def test_what_a_model_or_the_engine_cannot_do_is_refused_by_name(
    engine: LocalEngine, fields: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidRequest, match=named):
        await answer(engine, asking("bard", **fields))


async def test_an_answer_keeps_to_the_schema_it_is_asked_for(engine: LocalEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
    }
    for seed in range(5):
        text, last = await answer(engine, asking("bard", format=schema, options={"seed": seed, "num_predict": 100}))
        assert last.done_reason == "stop"
        value = json.loads(text)
        assert value.keys() == {"name", "age"}
        assert value["age"] >= 0


@pytest.mark.parametrize("wrong", ["yaml", 5, {"type": "thing"}])
async def test_a_format_that_is_none_is_refused(engine: LocalEngine, wrong: object) -> None:
    with pytest.raises(InvalidRequest):
        await answer(engine, asking("bard", format=wrong))


async def test_bard_comes_once_and_stays_away_when_it_was_deleted(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as engine:
        assert [model.name for model in await engine.models()] == ["bard:latest"]
        await engine.delete("bard")
    async with LocalEngine(settings) as engine:
        assert await engine.models() == []


async def test_a_bard_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as engine:
        async for _ in engine.create(CreateRequest("bard", from_="bard", system="Mine.")):
            pass
    (tmp_path / "models" / ".ollama-tui.bundled").unlink()
    async with LocalEngine(settings) as engine:
        assert (await engine.show("bard")).system == "Mine."


async def test_two_programs_that_open_a_new_store_at_once_both_have_bard(tmp_path: Path) -> None:
    settings = Settings(models=tmp_path / "models")
    async with LocalEngine(settings) as one, LocalEngine(settings) as other:
        texts = await asyncio.gather(*(answer(engine, asking("bard")) for engine in (one, other)))
    assert all(text for text, _ in texts)


async def test_closing_the_engine_ends_every_runner(tmp_path: Path) -> None:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await engine.load("bard")
        runner = psutil.Process((await the_one_running(engine)).pid)
    assert not runner.is_running()
