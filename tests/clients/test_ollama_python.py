"""The `ollama` package from PyPI, unchanged, against a live server: synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import ollama
import pytest

from ollama_engine.settings import HostAddress
from tests.support import gguf_models
from tests.support.embedding_models import bert_model
from tests.support.gguf_models import scripted_model
from tests.support.media_models import audio_projector, picture, sound, text_model, vision_projector

TEXT = "Once upon a time, a café served 🦙s."
ASK = [{"role": "user", "content": "Tell me."}]


@pytest.fixture
def client(server: HostAddress) -> ollama.AsyncClient:
    return ollama.AsyncClient(host=server.url)


@pytest.fixture
async def story(client: ollama.AsyncClient, tmp_path: Path) -> str:
    """A model that says TEXT, made the way this client makes models."""
    path = scripted_model(tmp_path / "story.gguf", TEXT)
    digest = await client.create_blob(path)
    made = await client.create(model="story", files={"story.gguf": digest})
    assert made.status == "success"
    return "story"


async def test_it_lists_and_shows(client: ollama.AsyncClient) -> None:
    [bard] = (await client.list()).models
    assert (bard.model, bard.details.quantization_level if bard.details else "") == ("bard:latest", "Q8_0")
    assert bard.size
    assert bard.modified_at
    info = await client.show("bard")
    assert info.details
    assert info.details.format == "gguf"
    assert info.capabilities
    assert "completion" in info.capabilities
    assert info.modelinfo


async def test_it_chats(client: ollama.AsyncClient, story: str) -> None:
    answer = await client.chat(model=story, messages=ASK)
    assert (answer.message.content, answer.done, answer.done_reason) == (TEXT, True, "stop")
    assert answer.eval_count
    assert answer.eval_duration


async def test_it_streams_a_chat(client: ollama.AsyncClient, story: str) -> None:
    parts = [part async for part in await client.chat(model=story, messages=ASK, stream=True)]
    assert "".join(part.message.content or "" for part in parts) == TEXT
    assert len(parts) > 2
    assert parts[-1].done_reason == "stop"


async def test_it_generates(client: ollama.AsyncClient, story: str) -> None:
    answer = await client.generate(model=story, prompt="Tell me.")
    assert answer.response == TEXT
    parts = [
        part async for part in await client.generate(model=story, prompt="x", options={"num_predict": 4}, stream=True)
    ]
    assert parts[-1].done_reason == "length"
    assert parts[-1].eval_count == 4


async def test_it_calls_tools(client: ollama.AsyncClient, caller: str) -> None:
    def weather(city: str) -> str:
        """Weather of a city.

        Args:
            city: its name
        """
        return f"rain in {city}"

    answer = await client.chat(model=caller, messages=ASK, tools=[weather])
    [call] = answer.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("weather", {"city": "Paris"})
    parts = [part async for part in await client.chat(model=caller, messages=ASK, tools=[weather], stream=True)]
    assert [each.function.name for part in parts for each in part.message.tool_calls or ()] == ["weather"]
    result = {"role": "tool", "tool_name": "weather", "content": weather(**call.function.arguments)}
    assert (await client.chat(model=caller, messages=[*ASK, answer.message, result], tools=[weather])).done


async def test_it_keeps_to_a_schema(client: ollama.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    answer = await client.chat(model="bard", messages=ASK, format=schema)
    assert json.loads(answer.message.content or "") == {"city": "Paris"}


async def test_it_loads_sees_and_unloads(client: ollama.AsyncClient, story: str) -> None:
    assert (await client.ps()).models == []
    assert (await client.generate(model=story, keep_alive="5m")).done_reason == "load"
    [running] = (await client.ps()).models
    assert running.name == "story:latest"
    assert running.size
    assert running.expires_at
    assert (await client.generate(model=story, keep_alive=0)).done_reason == "unload"
    async with asyncio.timeout(10):
        while (await client.ps()).models:
            pass


async def test_it_creates_copies_and_deletes(client: ollama.AsyncClient) -> None:
    steps = [step async for step in await client.create(model="poet", from_="bard", system="Be <brief>.", stream=True)]
    assert [step.status for step in steps][-2:] == ["writing manifest", "success"]
    assert (await client.show("poet")).modelfile
    assert (await client.copy("poet", "poet2")).status == "success"
    assert (await client.delete("poet")).status == "success"
    assert {model.model for model in (await client.list()).models} == {"bard:latest", "poet2:latest"}


async def test_it_meets_errors_with_their_status(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as error:
        await client.chat(model="nope", messages=ASK)
    assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="does not support thinking") as error:
        await client.chat(model="bard", messages=ASK, think=True)
    assert error.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="invalid model name") as error:
        await client.pull("../llama3.2")
    assert error.value.status_code == 400
    with pytest.raises(ollama.ResponseError):
        _ = [part async for part in await client.chat(model="nope", messages=ASK, stream=True)]


async def test_the_synchronous_client_does_the_same(server: HostAddress, story: str) -> None:
    def use() -> tuple[str, str, str]:
        client = ollama.Client(host=server.url)
        assert {model.model for model in client.list().models} == {"bard:latest", "story:latest"}
        whole = client.chat(model=story, messages=ASK).message.content or ""
        parts = client.chat(model=story, messages=ASK, stream=True)
        streamed = "".join(part.message.content or "" for part in parts)
        generated = "".join(part.response or "" for part in client.generate(model=story, prompt="x", stream=True))
        client.copy(story, "again")
        client.show("again")
        client.delete("again")
        return whole, streamed, generated

    assert await asyncio.to_thread(use) == (TEXT, TEXT, TEXT)


async def test_a_client_that_stops_reading_frees_the_model(client: ollama.AsyncClient) -> None:
    parts = await client.chat(model="bard", messages=ASK, options={"num_predict": 400}, stream=True)
    async for _ in parts:
        break
    await parts.aclose()  # pyright: ignore[reportAttributeAccessIssue] - it is a generator
    [running] = (await client.ps()).models
    assert running.model == "bard:latest"
    again = await client.chat(model="bard", messages=ASK, options={"num_predict": 3})
    assert again.done


async def test_it_embeds(client: ollama.AsyncClient, tmp_path: Path) -> None:
    path = bert_model(tmp_path / "bert.gguf")
    await client.create(model="bert", files={"bert.gguf": await client.create_blob(path)})
    answer = await client.embed(model="bert", input=["the cat", "", "hello world"])
    assert [len(vector) for vector in answer.embeddings] == [64] * 3
    assert answer.prompt_eval_count == 2 + 0 + 2 + 3 * 2
    assert answer.total_duration
    [few] = (await client.embed(model="bert", input="the cat", dimensions=16)).embeddings
    assert len(few) == 16
    older = await client.embeddings(model="bert", prompt="the cat")
    assert older.embedding == pytest.approx(answer.embeddings[0], abs=1e-4)
    assert (await client.embed(model="bert", input="")).embeddings == []
    with pytest.raises(ollama.ResponseError, match="the input length exceeds the context length") as error:
        await client.embed(model="bert", input="cat " * 500, truncate=False)
    assert error.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="try pulling it first") as error:
        await client.embed(model="nope", input="x")
    assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match='"bert" does not support chat') as error:
        await client.chat(model="bert", messages=ASK)
    assert error.value.status_code == 400


async def test_it_fills_a_hole_and_is_told_of_a_model_that_cannot(
    client: ollama.AsyncClient, story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fim = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *fim])
    digest = await client.create_blob(scripted_model(tmp_path / "filler.gguf", "return a + b"))
    await client.create(model="filler", files={"filler.gguf": digest})
    hole = {"prompt": "def add(a, b):\n\t", "suffix": "\n\nprint(add(1, 2))"}
    answer = await client.generate(model="filler", **hole)
    assert (answer.response, answer.done_reason) == ("return a + b", "stop")
    assert "insert" in ((await client.show("filler")).capabilities or ())
    with pytest.raises(ollama.ResponseError, match="does not support insert") as refused:
        await client.generate(model=story, **hole)
    assert refused.value.status_code == 400


SHORT = {"temperature": 0, "num_predict": 12}


async def make(client: ollama.AsyncClient, name: str, *paths: Path) -> str:
    files = {path.name: await client.create_blob(path) for path in paths}
    assert (await client.create(model=name, files=files)).status == "success"
    return name


@pytest.fixture
async def eyes(client: ollama.AsyncClient, tmp_path: Path) -> str:
    """A model that sees: a picture is 16 cells to it."""
    return await make(client, "eyes", text_model(tmp_path / "t.gguf"), vision_projector(tmp_path / "v.gguf"))


class TestImages:
    async def test_it_shows_images_in_a_chat(self, client: ollama.AsyncClient, eyes: str, tmp_path: Path) -> None:
        file = tmp_path / "cat.png"
        file.write_bytes(picture(1))

        async def ask(*images: Any) -> ollama.ChatResponse:
            message = {"role": "user", "content": "What is it?", "images": list(images)}
            return await client.chat(model=eyes, messages=[message], options=SHORT)

        assert "vision" in ((await client.show(eyes)).capabilities or [])
        by_path, by_bytes, other, blind = await ask(file), await ask(picture(1)), await ask(picture(2)), await ask()
        assert by_path.message.content == by_bytes.message.content
        assert len({by_path.message.content, other.message.content, blind.message.content}) == 3
        assert by_path.prompt_eval_count == (blind.prompt_eval_count or 0) + 16

    async def test_it_streams_an_answer_about_several(self, client: ollama.AsyncClient, eyes: str) -> None:
        messages = [
            {"role": "user", "content": "What is it?", "images": [picture(1)]},
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": "And these: [img] before [img]?", "images": [picture(2), picture(3)]},
        ]
        whole = await client.chat(model=eyes, messages=messages, options=SHORT)
        parts = [part async for part in await client.chat(model=eyes, messages=messages, options=SHORT, stream=True)]
        assert "".join(part.message.content or "" for part in parts) == whole.message.content
        assert len(parts) > 1
        messages[2]["images"] = [picture(3), picture(2)]
        swapped = await client.chat(model=eyes, messages=messages, options=SHORT)
        assert swapped.message.content != whole.message.content
        assert swapped.prompt_eval_count == whole.prompt_eval_count

    async def test_it_generates_with_images(self, client: ollama.AsyncClient, eyes: str) -> None:
        async def ask(**fields: Any) -> ollama.GenerateResponse:
            return await client.generate(model=eyes, prompt="What is it?", options=SHORT, **fields)

        seen, blind = await ask(images=[picture(1)]), await ask()
        assert seen.response != blind.response
        assert seen.prompt_eval_count == (blind.prompt_eval_count or 0) + 16
        stream = await client.generate(
            model=eyes, prompt="What is it?", images=[picture(1)], options=SHORT, stream=True
        )
        assert "".join([part.response async for part in stream]) == seen.response

    async def test_text_streams_on_beside_an_image(self, client: ollama.AsyncClient, eyes: str) -> None:
        async def text() -> str:
            answer = await client.generate(model=eyes, prompt="Go on", options={"temperature": 0, "num_predict": 60})
            return answer.response

        alone = await text()
        image = client.generate(model=eyes, prompt="What?", images=[picture(4, (700, 500))], options=SHORT)
        beside, seen = await asyncio.gather(text(), image)
        assert beside == alone
        assert seen.done

    async def test_sound_goes_the_same_way(self, client: ollama.AsyncClient, tmp_path: Path) -> None:
        model = await make(client, "ears", text_model(tmp_path / "t.gguf"), audio_projector(tmp_path / "a.gguf"))
        blind = await client.generate(model=model, prompt="Who?", options=SHORT)
        heard = await client.generate(model=model, prompt="Who?", images=[sound(300)], options=SHORT)
        assert heard.response != blind.response
        with pytest.raises(ollama.ResponseError, match="/ears:latest does not support vision"):
            await client.generate(model=model, prompt="Who?", images=[picture()])

    async def test_a_broken_image_is_told_and_nobody_else_minds(self, client: ollama.AsyncClient, eyes: str) -> None:
        cut = picture(1, (300, 300))[:200]
        for data, problem in ((cut, "image 1: it does not decode"), (b"GIF89a", "image 1: it ")):
            with pytest.raises(ollama.ResponseError, match=problem) as caught:
                await client.generate(model=eyes, prompt="What?", images=[data])
            assert caught.value.status_code == 400
        assert (
            await client.generate(model=eyes, prompt="What?", images=[picture(5, (90, 60), "WEBP")], options=SHORT)
        ).done
