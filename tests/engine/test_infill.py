"""Fill-in-the-middle, on real models that know the tokens for it and models whose template has a form for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFReader

from ollama_engine.engine import Engine
from ollama_engine.errors import PromptTooLong
from ollama_engine.gguf import model_metadata, read_header
from ollama_engine.infill import infill_prompt, insert_prompt, prompt_room
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import GenerateChunk, GenerateRequest
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import running
from tests.support import gguf_models
from tests.support.gguf_models import BOS_ID, looping_model, many_scripts_model, scripted_model

FIM = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
BEFORE, BEHIND = "def f():\n\t", "\n\n\ndef g(): ..."
GO = "{{ if .Suffix }}[{{ .Prompt }}|{{ .Suffix }}]{{ else }}{{ .Prompt }}{{ end }}"


@pytest.fixture
def knows_fim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *FIM])


@pytest.fixture
def filler(tmp_path: Path, knows_fim: None) -> Path:
    """A model that fills any hole with `return 1`."""
    return scripted_model(tmp_path / "filler.gguf", "return 1")


def add_bos(path: Path) -> Path:
    """The same model, whose tokenizer begins every text with the BOS token."""
    reader = GGUFReader(path, "r+")
    field = reader.fields["tokenizer.ggml.add_bos_token"]
    field.parts[field.data[0]][0] = True
    reader.data.flush()
    return path


async def fill(engine: Engine, model: str, prompt: str = BEFORE, suffix: str = BEHIND, **fields: Any) -> str:
    return "".join(chunk.response for chunk in await chunks(engine, model, prompt, suffix, **fields))


async def chunks(engine: Engine, model: str, prompt: str, suffix: str, **fields: Any) -> list[GenerateChunk]:
    request = GenerateRequest(model, prompt, suffix=suffix, **fields)
    return [chunk async for chunk in engine.generate(request)]


async def rendered(engine: Engine, model: str, **fields: Any) -> str:
    (shown,) = await chunks(engine, model, BEFORE, BEHIND, debug_render_only=True, **fields)
    assert shown.debug_info is not None
    return shown.debug_info.rendered_template


@pytest.mark.parametrize("go_template", [None, False])
async def test_the_templates_own_form_wins_even_where_another_template_speaks(
    go_template: bool | None, filler: Path, tmp_path: Path
) -> None:
    async with LocalEngine(Settings(models=tmp_path / "models", go_template=go_template)) as engine:
        await import_gguf(engine, "both", filler, template=GO)
        assert await rendered(engine, "both") == f"[{BEFORE}|{BEHIND}]"
        assert await fill(engine, "both") == "return 1"


@pytest.mark.parametrize("end", ["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>", "<|fim_suffix|>"])
async def test_tokens_that_end_a_fill_end_the_answer(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *(word for word in FIM if word != end)])
    model = many_scripts_model(tmp_path / "m.gguf", [[b"return ", b"12", end.encode(), b" and more"]])
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "filler", model)
        *_, last = answered = await chunks(engine, "filler", BEFORE, BEHIND)
        assert "".join(chunk.response for chunk in answered) == "return 12"
        assert last.done_reason == "stop"


async def test_what_looks_like_thinking_is_part_of_the_fill(tmp_path: Path, knows_fim: None) -> None:
    template = "{% for m in messages %}<think>x</think>{{ m.content }}{% endfor %}<think>\n"
    text = "\n <think>tag</think> {} "
    model = scripted_model(tmp_path / "m.gguf", text, template=template)
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "filler", model)
        assert await fill(engine, "filler") == text


async def test_a_full_context_ends_the_fill_instead_of_forgetting_what_stands_around(
    tmp_path: Path, knows_fim: None
) -> None:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "loop", looping_model(tmp_path / "loop.gguf"))
        *_, last = await chunks(engine, "loop", "x" * 200, "y" * 200, options={"num_ctx": 128})
        assert last.done_reason == "length"
        assert last.prompt_eval_count == 96
        assert last.truncated_tokens == 400 - 93
        assert last.prompt_eval_count + last.eval_count <= 128 + 1


async def test_a_text_that_must_not_be_cut_is_refused_where_it_does_not_fit(filler: Path, tmp_path: Path) -> None:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "filler", filler)
        options = {"num_ctx": 128}
        assert await fill(engine, "filler", "x" * 60, "y" * 60, options=options, truncate=False) == "return 1"
        with pytest.raises(PromptTooLong):
            await fill(engine, "filler", "x" * 80, "y" * 60, options=options, truncate=False)


async def test_long_texts_are_cut_far_from_the_hole_and_nothing_in_them_is_special(filler: Path) -> None:
    around = model_metadata(read_header(filler)).infill
    assert around is not None
    async with running(filler) as runner:
        tokens, cut = await infill_prompt(runner, around, "<|fim_middle|>", "b", 512)
        assert (tokens[0], tokens[-1], cut) == (259, 261, 0)
        assert tokens.count(261) == 1
        tokens, cut = await infill_prompt(runner, around, "x" * 99 + "<", ">" + "y" * 99, 75)
        assert await runner.detokenize(tokens) == (
            "<|fim_prefix|>" + "x" * 53 + "<<|fim_suffix|>>" + "y" * 17 + "<|fim_middle|>"
        )
        assert (len(tokens), cut) == (75, 200 - 72)
        # What one of them does not need is the other's.
        tokens, cut = await infill_prompt(runner, around, "x" * 99, "y" * 9, 75)
        assert await runner.detokenize(tokens) == "<|fim_prefix|>" + "x" * 63 + "<|fim_suffix|>yyyyyyyyy<|fim_middle|>"
        tokens, cut = await infill_prompt(runner, around, "x" * 9, "y" * 99, 75)
        assert await runner.detokenize(tokens) == "<|fim_prefix|>xxxxxxxxx<|fim_suffix|>" + "y" * 63 + "<|fim_middle|>"


async def test_a_templates_prompt_is_cut_around_the_hole_too(filler: Path) -> None:
    async with running(filler) as runner:
        tokens, cut = await insert_prompt(
            runner, lambda prompt, suffix: f"[{prompt}|{suffix}]", "x" * 99 + "<", ">" + "y" * 99, 75
        )
        assert await runner.detokenize(tokens) == "[" + "x" * 53 + "<|>" + "y" * 17 + "]"
        assert (len(tokens), cut) == (75, 200 - 72)


async def test_the_beginning_token_comes_first_where_the_model_wants_one(filler: Path) -> None:
    around = model_metadata(read_header(add_bos(filler))).infill
    assert around is not None
    async with running(filler) as runner:
        tokens, _ = await infill_prompt(runner, around, "a", "b", 512)
        assert tokens == [BOS_ID, 259, ord("a"), 260, ord("b"), 261]


@pytest.mark.parametrize(("num_predict", "room"), [(-1, 75), (0, 75), (10, 90), (60, 75)])
def test_a_quarter_of_the_context_is_left_for_the_fill_or_what_it_may_have(num_predict: int, room: int) -> None:
    assert prompt_room(100, num_predict) == room
