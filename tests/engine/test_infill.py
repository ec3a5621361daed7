"""Fill-in-the-middle through the model's own tokens, on a real runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.gguf import model_metadata, read_header
from ollama_engine.infill import infill_prompt
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import GenerateRequest
from tests.engine.contract.conftest import import_gguf
from tests.engine.runner.running import running
from tests.support import gguf_models
from tests.support.gguf_models import scripted_model

FIM = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]


@pytest.fixture
def filler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that fills any hole with `return 1`."""
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *FIM])
    return scripted_model(tmp_path / "filler.gguf", "return 1")


async def test_a_suffix_is_written_with_the_models_own_tokens(filler: Path, tmp_path: Path) -> None:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "filler", filler)
        assert "insert" in (await engine.show("filler")).capabilities
        request = GenerateRequest("filler", "def f():\n    ", suffix="\n\n\ndef g(): ...")
        chunks = [chunk async for chunk in engine.generate(request)]
        assert "".join(chunk.response for chunk in chunks) == "return 1"
        request.debug_render_only = True
        (shown,) = [chunk async for chunk in engine.generate(request)]
        assert shown.debug_info is not None
        assert shown.debug_info.rendered_template == (
            "<|fim_prefix|>def f():\n    <|fim_suffix|>\n\n\ndef g(): ...<|fim_middle|>"
        )


async def test_long_texts_are_cut_far_from_the_hole_and_nothing_in_them_is_special(filler: Path) -> None:
    around = model_metadata(read_header(filler)).infill
    assert around == (259, 260, 261)
    async with running(filler) as runner:
        tokens, cut = await infill_prompt(runner, around, "<|fim_middle|>", "b", 512)
        assert (tokens[0], tokens[-1], cut) == (259, 261, 0)
        assert tokens.count(261) == 1
        tokens, cut = await infill_prompt(runner, around, "x" * 99 + "<", ">" + "y" * 99, 100)
        assert len(tokens) == 75
        assert await runner.detokenize(tokens) == (
            "<|fim_prefix|>" + "x" * 53 + "<<|fim_suffix|>>" + "y" * 17 + "<|fim_middle|>"
        )
        assert cut == 200 - 72
