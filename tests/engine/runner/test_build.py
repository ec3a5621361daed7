"""What llama.cpp is built for, asked of a process of its own: read, and told of where it cannot be."""

from __future__ import annotations

import pytest

from ollama_engine.build_info import binding_version, read_build
from ollama_engine.errors import RunnerError
from ollama_engine.runner.build import features


async def test_the_build_says_what_it_is() -> None:
    build = await read_build()
    assert "CPU" in build.backends
    assert build.ggml.count(".") == 2
    assert binding_version()


def test_features_of_the_processor_are_told_apart_from_those_of_a_gpu() -> None:
    text = "CUDA : ARCHS = 890 | USE_GRAPHS = 1 | CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | "
    assert features(text) == ["SSE3", "AVX2", "OPENMP"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("kill -ILL $$", "built for another processor"),
        ("echo no libllama.so >&2; exit 3", "cannot be loaded: no libllama.so"),
        ("echo nonsense", "does not say what it is"),
    ],
)
async def test_a_build_that_does_not_work_is_told_of_with_the_line_that_builds_it(script: str, told: str) -> None:
    with pytest.raises(RunnerError, match=told) as caught:
        await read_build(["sh", "-c", script])
    assert caught.value.hint.startswith("pip install --force-reinstall")


async def test_one_that_hangs_is_ended() -> None:
    with pytest.raises(RunnerError, match="did not end within"):
        await read_build(["sleep", "60"], timeout=0.05)
