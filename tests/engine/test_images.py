"""Images end to end: base64 in a request, places in the prompt, the runner, the counts of the answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ollama_engine.errors import InvalidRequest, LoadFailed, TemplateError
from ollama_engine.local import LocalEngine
from ollama_engine.request_media import RequestMedia, decode_base64
from ollama_engine.settings import Settings
from ollama_engine.types import ChatChunk, ChatRequest, CreateRequest, GenerateChunk, GenerateRequest, Message
from tests.engine.contract.conftest import import_gguf
from tests.support import gguf_models
from tests.support.live_server import live_server
from tests.support.media_models import audio_projector, picture, sound, text_model, vision_projector

OPTIONS = {"temperature": 0, "num_predict": 12}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models", num_parallel=2)) as engine:
        text = text_model(tmp_path / "text.gguf")
        for name, projector in (
            ("sees", vision_projector(tmp_path / "sees.gguf")),
            ("hears", audio_projector(tmp_path / "hears.gguf")),
        ):
            await create(engine, name, text, projector)
        await import_gguf(engine, "reads", text)
        yield engine


async def create(engine: LocalEngine, name: str, *paths: Path) -> None:
    files = {}
    for path in paths:
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

        async def body(data: bytes = path.read_bytes()) -> AsyncIterator[bytes]:
            yield data

        await engine.put_blob(digest, body())
        files[path.name] = digest
    async for _ in engine.create(CreateRequest(name, files=files)):
        pass


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def chat(engine: LocalEngine, model: str, *messages: Message, **fields: Any) -> tuple[str, ChatChunk]:
    request = ChatRequest(model, list(messages), options={**OPTIONS, **fields.pop("options", {})}, **fields)
    chunks = [chunk async for chunk in engine.chat(request)]
    return "".join(chunk.message.content for chunk in chunks), chunks[-1]


async def generate(engine: LocalEngine, model: str, prompt: str, **fields: Any) -> tuple[str, GenerateChunk]:
    chunks = [c async for c in engine.generate(GenerateRequest(model, prompt, options=OPTIONS, **fields))]
    return "".join(chunk.response for chunk in chunks), chunks[-1]


class TestModels:
    async def test_a_projector_becomes_a_layer_and_says_what_the_model_can(self, engine: LocalEngine) -> None:
        assert "vision" in (await engine.show("sees")).capabilities
        assert "audio" not in (await engine.show("sees")).capabilities
        heard = (await engine.show("hears")).capabilities
        assert "audio" in heard
        assert "vision" not in heard
        assert (await engine.show("sees")).projector_info
        assert (await engine.show("sees")).modelfile.count("\nFROM ") == 2

    async def test_what_a_model_cannot_do_is_said(self, engine: LocalEngine) -> None:
        for model, data, sense in (
            ("reads", picture(), "vision"),
            ("hears", picture(), "vision"),
            ("sees", sound(), "audio"),
        ):
            with pytest.raises(InvalidRequest, match=f"/{model}:latest does not support {sense}$"):
                await chat(engine, model, Message("user", "What?", images=[b64(data)]))
            with pytest.raises(InvalidRequest, match=f"/{model}:latest does not support {sense}$"):
                await generate(engine, model, "What?", images=[b64(data)])

    @pytest.mark.parametrize("stack", [8, 7])
    async def test_a_projector_that_would_end_the_runner_is_refused(
        self, engine: LocalEngine, tmp_path: Path, stack: int
    ) -> None:
        """clip.cpp counts the cells of a stack otherwise than it computes them, and aborts over the difference."""
        ears = audio_projector(tmp_path / "ears.gguf", stack=stack)
        await create(engine, "odd", text_model(tmp_path / "text.gguf"), ears)
        with pytest.raises(LoadFailed, match=f"'odd:latest' cannot be run: its stack_factor of {stack} makes"):
            await chat(engine, "odd", Message("user", "Who?", images=[b64(sound())]))

    @pytest.mark.parametrize("stack", [1, 2, 5, 6, 15])
    async def test_any_other_stack_is_heard(self, engine: LocalEngine, tmp_path: Path, stack: int) -> None:
        ears = audio_projector(tmp_path / "ears.gguf", stack=stack)
        await create(engine, "odd", text_model(tmp_path / "text.gguf"), ears)
        _, last = await chat(engine, "odd", Message("user", "Who?", images=[b64(sound())]))
        assert last.prompt_eval_count > 1500 // stack


class TestAnswers:
    async def test_chat_counts_the_image_and_finds_it_again(self, engine: LocalEngine) -> None:
        without, counted = await chat(engine, "sees", Message("user", "What is it?"))
        seen, first = await chat(engine, "sees", Message("user", "What is it?", images=[b64(picture(1))]))
        again, second = await chat(engine, "sees", Message("user", "What is it?", images=[b64(picture(1))]))
        other, _ = await chat(engine, "sees", Message("user", "What is it?", images=[b64(picture(2))]))
        assert first.prompt_eval_count == second.prompt_eval_count == counted.prompt_eval_count + 16
        assert seen == again
        assert len({without, seen, other}) == 3

    async def test_an_image_of_an_earlier_turn_is_seen_again(self, engine: LocalEngine) -> None:
        later = [Message("assistant", "A cat."), Message("user", "Sure?")]
        texts = {
            (await chat(engine, "sees", Message("user", "What is it?", images=[b64(picture(n))]), *later))[0]
            for n in (1, 2)
        }
        assert len(texts) == 2

    async def test_generate_and_raw(self, engine: LocalEngine) -> None:
        images = [b64(picture(1))]
        plain, _ = await generate(engine, "sees", "What is it?")
        seen, last = await generate(engine, "sees", "What is it?", images=images)
        assert plain != seen
        assert last.context
        raw, counted = await generate(engine, "sees", "abc", raw=True)
        for prompt in ("[img-0]abc", "[img]abc", "abc"):
            marked, last = await generate(engine, "sees", prompt, raw=True, images=images)
            assert last.prompt_eval_count == counted.prompt_eval_count + 16
            assert marked != raw

    async def test_sound_travels_as_an_image(self, engine: LocalEngine) -> None:
        quiet, without = await chat(engine, "hears", Message("user", "Who?"))
        heard, last = await chat(engine, "hears", Message("user", "Who?", images=[b64(sound(300))]))
        assert last.prompt_eval_count == without.prompt_eval_count + 375
        assert heard != quiet

    async def test_words_of_a_user_are_never_a_place(self, engine: LocalEngine) -> None:
        said = Message("user", "[img-0] and [img-1] and [img-0-0123456789abcdef]", images=[b64(picture(1))])
        _, last = await chat(engine, "sees", said)
        said = Message("user", said.content)
        _, without = await chat(engine, "sees", said)
        assert last.prompt_eval_count == without.prompt_eval_count + 16

    async def test_oldest_turns_go_by_the_true_size_of_their_images(self, engine: LocalEngine) -> None:
        images = [b64(picture(n)) for n in range(40)]
        turns = [m for i in images for m in (Message("user", "What? " * 4, images=[i]), Message("assistant", "That."))]
        _, last = await chat(engine, "sees", *turns, Message("user", "And now?"), options={"num_ctx": 2048})
        assert 0 < last.dropped_messages < 75
        assert 1500 < last.prompt_eval_count < 2048

    async def test_tokens_are_counted_with_their_images(self, engine: LocalEngine) -> None:
        said = Message("user", "What is it?", images=[b64(picture(1)), b64(picture(2))])
        _, last = await chat(engine, "sees", said)
        assert await engine.count_tokens(ChatRequest("sees", [said])) == last.prompt_eval_count
        with pytest.raises(InvalidRequest, match="does not support vision"):
            await engine.count_tokens(ChatRequest("reads", [said]))

    async def test_the_model_s_own_messages_may_have_images(self, engine: LocalEngine) -> None:
        """Each place gets its own image, also where the model's come before the request's."""
        own = [Message("user", "This is a cat.", images=[b64(picture(1))]), Message("assistant", "Yes.")]
        async for _ in engine.create(CreateRequest("knows", from_="sees", messages=own)):
            pass
        by_generate, last = await generate(engine, "knows", "And this?", images=[b64(picture(2))])
        by_chat, counted = await chat(engine, "sees", *own, Message("user", "And this?", images=[b64(picture(2))]))
        assert by_generate == by_chat
        assert last.prompt_eval_count == counted.prompt_eval_count

    async def test_an_image_beside_a_suffix_is_refused(
        self, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither a template's form for a hole nor the model's own tokens have a place for it."""
        async for _ in engine.create(CreateRequest("by-template", from_="sees", template="{{ .Prompt }}{{ .Suffix }}")):
            pass
        fim = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
        monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *fim])
        text = text_model(tmp_path / "fim.gguf")
        await create(engine, "by-tokens", text, vision_projector(tmp_path / "fim-sees.gguf"))
        for model in ("by-template", "by-tokens"):
            assert (await generate(engine, model, "a", suffix="b"))[1].done
            with pytest.raises(InvalidRequest, match="images cannot stand around a suffix's hole"):
                await generate(engine, model, "a", suffix="b", images=[b64(picture(1))])


class TestDebug:
    async def test_places_are_shown_as_ollama_shows_them(self, engine: LocalEngine) -> None:
        request = ChatRequest(
            "sees", [Message("user", "a [img] b", images=[b64(picture(1)), b64(picture(2))])], debug_render_only=True
        )
        (chunk,) = [chunk async for chunk in engine.chat(request)]
        assert chunk.debug_info is not None
        assert chunk.debug_info.image_count == 2
        assert "[img-1]a [img-0] b" in chunk.debug_info.rendered_template

    async def test_render_only_has_ollamas_shape_on_the_wire(self, engine: LocalEngine) -> None:
        picture_b64 = b64(picture(1))
        turn = {"role": "user", "content": "What?", "images": [picture_b64]}
        only = {"model": "sees", "_debug_render_only": True}
        async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
            chatted = await http.post("/api/chat", json=only | {"messages": [turn]})
            generated = await http.post("/api/generate", json=only | {"prompt": "What?", "images": [picture_b64]})
            raw = await http.post("/api/generate", json=only | {"prompt": "as it is", "raw": True})
        assert await engine.running() == []
        info = {"rendered_template": chatted.json()["_debug_info"]["rendered_template"], "image_count": 1}
        assert "[img-0]What?" in info["rendered_template"]
        for answer, said in (
            (chatted, {"message": {"role": "assistant", "content": ""}}),
            (generated, {"response": ""}),
        ):
            assert answer.status_code == 200
            body = answer.json()
            assert body.pop("created_at")
            assert body == {"model": "sees", "done": False, "_debug_info": info} | said
        assert raw.json()["_debug_info"] == {"rendered_template": "as it is"}


class TestBadInput:
    async def test_a_broken_image_is_named(self, engine: LocalEngine) -> None:
        with pytest.raises(InvalidRequest, match="image 2: it is no PNG, JPEG, WebP or GIF picture"):
            await chat(engine, "sees", Message("user", "x", images=[b64(picture()), b64(b"nothing of the kind")]))

    @pytest.mark.parametrize(
        ("text", "at"), [("data:image/png;base64,AAAA", 4), ("!", 0), ("AAA", 3), ("AAAA=AAA", 5), ("AA\nAé", 4)]
    )
    def test_no_base64(self, text: str, at: int) -> None:
        with pytest.raises(InvalidRequest, match=f"^illegal base64 data at input byte {at}$"):
            decode_base64(text)

    def test_an_image_that_the_template_leaves_out_is_an_error(self) -> None:
        message = Message("user", images=[b64(b"x")])
        with pytest.raises(TemplateError, match="leaves image 1 out"):
            RequestMedia([message]).placed([1, 2, 3], [message])


class TestPlacement:
    async def test_a_small_context_is_made_large_enough_for_an_image(self, engine: LocalEngine) -> None:
        _, last = await chat(engine, "sees", Message("user", "What is it? " * 60), options={"num_ctx": 64})
        assert last.prompt_eval_count > 200
        (running,) = await engine.running()
        assert running.context_length == 2048

    async def test_models_that_differ_in_the_projector_alone_have_runners_of_their_own(
        self, engine: LocalEngine, tmp_path: Path
    ) -> None:
        await create(engine, "sees-otherwise", tmp_path / "text.gguf", vision_projector(tmp_path / "2.gguf", seed=2))
        shown = Message("user", "What is it?", images=[b64(picture(1))])
        answers = [(await chat(engine, model, shown))[0] for model in ("sees", "sees-otherwise")]
        assert answers[0] != answers[1]
        assert len({model.pid for model in await engine.running()}) == 2
        assert (await chat(engine, "sees", shown))[0] == answers[0]
