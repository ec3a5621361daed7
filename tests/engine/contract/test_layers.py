"""The contract of `layers`: which blobs a model is made of, and what a delete would free."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import ModelNotFound
from ollama_engine.types import CreateRequest


async def test_what_other_models_share_is_named_and_the_rest_is_what_a_delete_frees(
    engine: Engine, story: str, tmp_path: Path
) -> None:
    async for _ in engine.create(CreateRequest("bold", from_=story, system="Be bold.")):
        pass
    layers = await engine.layers("bold")
    by_kind = {layer.kind: layer for layer in layers}
    assert by_kind["model"].models == ["story:latest"]
    assert by_kind["system"].models == []
    assert layers[-1].kind == "config"
    (bold,) = [model for model in await engine.models() if model.name == "bold:latest"]
    assert sum(layer.size for layer in layers) == bold.size
    await engine.copy("bold", "twin")
    assert all("twin:latest" in layer.models for layer in await engine.layers("bold"))
    await engine.delete("twin")

    blobs = tmp_path / "models" / "blobs"
    before = sum(blob.stat().st_size for blob in blobs.iterdir())
    freed = {layer.digest: layer.frees for layer in await engine.layers("bold") if not layer.models}
    await engine.delete("bold")
    assert before - sum(blob.stat().st_size for blob in blobs.iterdir()) == sum(freed.values()) > 0


async def test_of_a_model_that_is_not_here_nothing_is_told(engine: Engine) -> None:
    with pytest.raises(ModelNotFound):
        await engine.layers("nobody")
