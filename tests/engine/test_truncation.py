"""A conversation longer than its context: how often its texts are tokenized on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.runner.client import Runner
from ollama_engine.settings import Settings
from ollama_engine.types import ChatRequest, Message
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import scripted_model


async def test_no_text_is_tokenized_twice_and_no_prompt_for_every_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    tokenize = Runner.tokenize

    async def listening(self: Runner, text: str, **options: bool) -> list[int]:
        texts.append(text)
        return await tokenize(self, text, **options)

    monkeypatch.setattr(Runner, "tokenize", listening)
    talk = [Message(role, f"{number} {role} " + "w" * 40) for number in range(40) for role in ("user", "assistant")]
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        await import_gguf(engine, "m", scripted_model(tmp_path / "m.gguf", "Well said."))
        request = ChatRequest("m", [*talk, Message("user", "And now?")], options={"num_ctx": 512})
        last = [chunk async for chunk in engine.chat(request)][-1]
    assert last.dropped_messages > 60
    assert len(texts) == len(set(texts))
    prompts = [text for text in texts if "<|im_start|>" in text]
    assert len(prompts) <= 6
