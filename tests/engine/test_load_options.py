"""Options of a load, from settings, model and request to the runner; and what is said where memory is lacking."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest, LoadFailed
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.types import ChatChunk, ChatRequest, GenerateRequest, Message, RunningModel
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import random_model

MIB = 1024 * 1024
WIDE: Any = {"n_layer": 2, "width": 256, "ff": 64, "heads": 4, "kv_heads": 4}
"""2 KiB of keys and values a token."""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("models") / "wide.gguf", **WIDE, context_length=262_144)


@pytest.fixture
async def engine(tmp_path: Path, gguf: Path) -> AsyncIterator[LocalEngine]:
    settings = Settings(models=tmp_path / "models", num_parallel=1, kv_cache_type="q8_0", num_thread=1)
    async with LocalEngine(settings) as engine:
        await import_gguf(engine, "wide", gguf)
        yield engine


async def chat(engine: LocalEngine, model: str = "wide", **options: Any) -> ChatChunk:
    request = ChatRequest(model, [Message("user", "hi")], options={"num_predict": 2, **options})
    return [chunk async for chunk in engine.chat(request)][-1]


async def running(engine: LocalEngine) -> RunningModel:
    (model,) = await engine.running()
    return model


async def test_a_request_goes_before_the_model_and_that_before_the_settings(engine: LocalEngine, gguf: Path) -> None:
    await import_gguf(engine, "exact", gguf, parameters={"cache_type_k": "f32", "num_ctx": 256})
    sizes: list[int] = []
    for model, options in (
        ("wide", {"num_ctx": 256}),  # the settings': q8_0 for both
        ("exact", {}),  # the model's own for keys, the settings' for values
        ("exact", {"kv_cache_type": "f16"}),
    ):
        await chat(engine, model, **options)
        sizes.append((await running(engine)).kv_cache)
        await engine.unload(model)
    half = 256 * 1024  # bytes of 256 keys as f16
    assert sizes == pytest.approx([2 * half * 34 / 64, half * 34 / 64 + 2 * half, 2 * half], rel=0.02)


async def test_a_runner_is_used_again_unless_something_else_is_asked_for(engine: LocalEngine) -> None:
    pids: list[int] = []
    for options in (
        {"num_ctx": 1024, "flash_attention": "on"},
        {"num_ctx": 512},
        {"flash_attention": True, "num_thread": 0, "num_gpu": "auto"},
        {"flash_attention": True, "num_thread": 2},
        {"num_ctx": 1024},
        {"num_ctx": 2048},
    ):
        await chat(engine, **options)
        pids.append((await running(engine)).pid)
    first, another, larger = pids[0], pids[3], pids[5]
    assert pids == [first, first, first, another, another, larger]
    assert len({first, another, larger}) == 3


async def test_a_device_that_is_not_there_is_the_callers_fault(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match=r"no device CUDA9 .* there are: ") as caught:
        await chat(engine, devices=["CUDA9"])
    assert caught.value.status == 400
    assert "ollama-tui devices" in caught.value.hint
    assert (await chat(engine, devices="CPU")).done


async def test_parameters_of_a_load_come_back_from_show(engine: LocalEngine, gguf: Path) -> None:
    parameters = {"tensor_split": [3, 1], "devices": "CPU", "flash_attention": "on", "use_mlock": False, "num_gpu": 7}
    await import_gguf(engine, "split", gguf, parameters=parameters)
    modelfile = (await engine.show("split")).modelfile
    lines = [line for line in modelfile.splitlines() if line.startswith("PARAMETER")]
    assert sorted(lines) == [
        "PARAMETER devices CPU",
        "PARAMETER flash_attention on",
        "PARAMETER num_gpu 7",
        "PARAMETER tensor_split 1",
        "PARAMETER tensor_split 3",
        "PARAMETER use_mlock false",
    ]
    assert (await chat(engine, "split")).done
    with pytest.raises(InvalidRequest, match="split_mode"):
        await import_gguf(engine, "bad", gguf, parameters={"split_mode": "columns"})


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
class TestALoadThatLacksMemory:
    """The runner's address space ends where a context of 32k just fits."""

    @pytest.fixture
    async def limited(self, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalEngine:
        await chat(engine, num_ctx=32_768)
        status = Path(f"/proc/{(await running(engine)).pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmPeak"))
        await engine.unload("wide")
        wrapper = tmp_path / "limited"
        wrapper.write_text(f'#!/bin/sh\nulimit -v {peak + 64 * 1024}\nexec {sys.executable} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))
        return engine

    async def test_it_has_less_context_and_says_so(
        self, limited: LocalEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        notice = "not enough memory: loaded with a context of 32768 tokens instead of 262144"
        with caplog.at_level(logging.WARNING):
            last = await chat(limited, num_ctx=262_144)
        assert (last.done, last.notices) == (True, [notice])
        assert notice in caplog.text
        model = await running(limited)
        assert (model.context_length, model.notices) == (32_768, [notice])
        # It is not tried again with each request.
        assert (await chat(limited, num_ctx=262_144)).notices == [notice]
        assert (await chat(limited, num_ctx=16_384)).done
        assert (await running(limited)).pid == model.pid
        loaded = [chunk async for chunk in limited.generate(GenerateRequest("wide", options={"num_ctx": 262_144}))]
        assert (loaded[-1].done_reason, loaded[-1].notices) == ("load", [notice])

    async def test_what_fits_is_loaded_as_asked_for(self, limited: LocalEngine) -> None:
        assert (await chat(limited, num_ctx=32_768)).notices == []
        assert (await running(limited)).notices == []

    async def test_a_second_failure_ends_it(self, limited: LocalEngine, gguf: Path) -> None:
        # 32 times as much for each token: neither context has room.
        deep: Any = {**WIDE, "n_layer": 64}
        await import_gguf(limited, "deep", random_model(gguf.with_name("deep.gguf"), **deep, context_length=262_144))
        with pytest.raises(LoadFailed, match=r"tried twice, the second time with a context of 32768") as caught:
            await chat(limited, "deep", num_ctx=131_072)
        assert "num_ctx below 32768" in caught.value.hint
        assert await limited.running() == []
