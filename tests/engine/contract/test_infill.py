"""Fill-in-the-middle, whichever engine is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.types import GenerateRequest
from tests.engine.contract.conftest import import_gguf
from tests.support import gguf_models
from tests.support.gguf_models import scripted_model

FIM = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
BEFORE, BEHIND = "def f():\n\t", "\n\n\ndef g(): ..."


async def test_a_hole_is_filled_in_the_models_own_tokens(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_models, "SPECIALS", [*gguf_models.SPECIALS, *FIM])
    await import_gguf(engine, "filler", scripted_model(tmp_path / "filler.gguf", "return 1"))
    assert "insert" in (await engine.show("filler")).capabilities
    (listed,) = [model for model in await engine.models() if model.name == "filler:latest"]
    assert "insert" in listed.capabilities
    for before in (BEFORE, ""):
        request = GenerateRequest("filler", before, suffix=BEHIND)
        *_, last = answered = [chunk async for chunk in engine.generate(request)]
        assert "".join(chunk.response for chunk in answered) == "return 1"
        assert (last.done_reason, last.prompt_eval_count) == ("stop", len(before) + len(BEHIND) + 3)
    request = GenerateRequest("filler", BEFORE, suffix=BEHIND, debug_render_only=True)
    (shown,) = [chunk async for chunk in engine.generate(request)]
    assert shown.debug_info is not None
    assert shown.debug_info.rendered_template == f"{FIM[0]}{BEFORE}{FIM[1]}{BEHIND}{FIM[2]}"


async def test_a_model_without_tokens_and_template_for_it_cannot_insert(engine: Engine, story: str) -> None:
    assert "insert" not in (await engine.show(story)).capabilities
    with pytest.raises(InvalidRequest, match="story:latest does not support insert"):
        await anext(engine.generate(GenerateRequest(story, BEFORE, suffix=BEHIND)))
