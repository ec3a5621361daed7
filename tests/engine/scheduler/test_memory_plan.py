"""What a plan says of memory is what the runner then holds: real llama.cpp, models of many shapes and usual sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from ollama_engine.gguf.metadata import read_metadata
from ollama_engine.options import asked_for, merge_options
from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.calibration import measure
from ollama_engine.scheduler.placement import GIB, MIB, FreeMemory, Placement, place
from ollama_engine.settings import Settings
from tests.engine.runner.running import answer
from tests.support.media_models import audio_projector, text_model, vision_projector
from tests.support.sized_models import (
    F32,
    Q8_0,
    convolving,
    dense,
    encoder,
    experts,
    hybrid,
    latent,
    recurrent,
    windowed,
)

TOLERANCE, LEAST = 0.05, 64 * MIB
"""Of what is held, or so many bytes."""
Make = Callable[[Path], Path]
SMALL: Make = partial(dense, n_layer=2, width=64, ff=128, heads=1, kv_heads=1, vocab=1000)

SHAPES: dict[str, tuple[Make, dict[str, Any]]] = {
    "dense": (dense, {}),
    "dense, long, q8_0 cache": (dense, {"num_ctx": 32_768, "cache_type_k": "q8_0", "cache_type_v": "q8_0", "slots": 1}),
    "dense, q4_0 keys, q8_0 values": (dense, {"num_ctx": 8192, "cache_type_k": "q4_0", "cache_type_v": "q8_0"}),
    "dense, no flash attention": (dense, {"num_ctx": 16_384, "flash_attention": "off", "slots": 2}),
    "dense, an odd context, three slots": (dense, {"num_ctx": 5000, "slots": 3}),
    "dense, large batch": (dense, {"num_ctx": 8192, "num_batch": 2048, "num_ubatch": 2048, "slots": 2}),
    "dense, wide, a large vocabulary": (
        partial(dense, n_layer=3, width=2048, ff=8192, heads=32, kv_heads=8, vocab=100_000, weights=Q8_0),
        {"num_ctx": 8192},
    ),
    "dense, as many KV heads, F32": (partial(dense, n_layer=4, kv_heads=16, weights=F32), {}),
    "experts": (experts, {"num_ctx": 8192}),
    "many experts": (partial(experts, count=64, used=8, n_layer=4), {"num_ctx": 2048, "slots": 1}),
    "MLA": (latent, {"num_ctx": 16_384}),
    "MLA, no flash attention": (latent, {"num_ctx": 8192, "flash_attention": "off", "slots": 2}),
    "windows": (windowed, {"num_ctx": 4096}),
    "windows, no flash attention": (windowed, {"num_ctx": 8192, "flash_attention": "off", "slots": 2}),
    "windows, little memory": (windowed, {"num_ctx": 32_768, "slots": 2, "ram": 1000 * MIB}),
    "recurrent": (recurrent, {}),
    "recurrent, eight slots": (recurrent, {"num_ctx": 2048, "slots": 8}),
    "hybrid": (hybrid, {"num_ctx": 16_384}),
    "hybrid of convolutions": (convolving, {"num_ctx": 16_384}),
    "embedding, last token": (dense, {"num_ctx": 8192, "pooling": "last"}),
    "encoder": (encoder, {"num_ctx": 4096, "pooling": "mean"}),
}
PROJECTORS: dict[str, tuple[Make, Make]] = {
    "images of one size": (SMALL, partial(vision_projector, image_size=560, kind="gemma3")),
    "images of any size": (partial(text_model, mrope=True), partial(vision_projector, kind="qwen2vl")),
    "sound": (SMALL, audio_projector),
}


def planned(
    path: Path, *projectors: Path, slots: int = 0, pooling: Any = "", ram: int = 16 * GIB, **options: Any
) -> Placement:
    asked = merge_options(options)
    settings, free = Settings(num_parallel=slots), FreeMemory(ram)
    given = asked_for(asked, options)
    return place([path], read_metadata(path), asked, given, settings, free, pooling, projectors)


def held(runner: Runner) -> int:
    """All that llama.cpp has allocated, by its own account, and what the process has beside it."""
    return sum(buffer.size for buffer in runner.info.buffers) + measure(runner).process


def assert_close(plan: int, found: int) -> None:
    assert abs(plan - found) <= max(TOLERANCE * found, LEAST), f"{plan / MIB:.0f} of {found / MIB:.0f} MiB"


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_plan_is_what_the_runner_holds(shape: str, tmp_path: Path) -> None:
    make, options = SHAPES[shape]
    placement = planned(make(tmp_path / "m.gguf"), **options)
    assert placement.split is not None
    assert not placement.calibrated
    plan = placement.split.cpu
    runner = await Runner.start(placement.spec)
    try:
        found = measure(runner).devices["CPU"]
        # An embedder makes room for its answers as it goes; the last test looks at that.
        output = plan.other - placement.split.process if placement.spec.pooling else 0
        assert_close(plan.size, held(runner) + output)
        # Each part for itself, more closely: nothing hides behind another.
        assert plan.weights == pytest.approx(found.weights, rel=0.01, abs=MIB)
        assert plan.cache == pytest.approx(found.cache, rel=0.001, abs=MIB)
        assert plan.compute == pytest.approx(found.compute, rel=0.15, abs=4 * MIB)
    finally:
        await runner.aclose()


@pytest.mark.parametrize("senses", PROJECTORS)
async def test_a_projector_is_part_of_it(senses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"_EMBD": 512, "_FF": 2048, "_HEADS": 8}.items():
        monkeypatch.setattr(f"tests.support.media_models.{name}", size)
    make, make_projector = PROJECTORS[senses]
    path, projector = make(tmp_path / "m.gguf"), make_projector(tmp_path / "p.gguf")
    placement = planned(path, projector, num_ctx=4096)
    assert placement.split is not None
    runner = await Runner.start(placement.spec)
    try:
        assert_close(placement.needed, held(runner))
        of_projector = [buffer for buffer in runner.info.buffers if buffer.kind.startswith("projector")]
        assert of_projector
        without = planned(path, num_ctx=4096, num_batch=placement.spec.n_batch)
        more = placement.needed - without.needed
        found = sum(buffer.size for buffer in of_projector)
        assert more == pytest.approx(projector.stat().st_size + found, rel=0.3)
    finally:
        await runner.aclose()


async def test_the_system_counts_as_much_once_all_of_it_has_been_used(tmp_path: Path) -> None:
    placement = planned(dense(tmp_path / "m.gguf", n_layer=4, width=512, ff=1024, heads=8), num_ctx=8192, slots=4)
    runner = await Runner.start(placement.spec)
    try:
        await answer(runner, [300] * 512, max_tokens=1)
        assert_close(placement.needed, psutil.Process(runner.pid).memory_info().rss)
    finally:
        await runner.aclose()


async def test_an_encoder_takes_places_for_logits_that_it_never_computes(tmp_path: Path) -> None:
    small = encoder(tmp_path / "m.gguf", n_layer=1, width=128, ff=256, heads=2)
    placement = planned(small, num_ctx=2048, pooling="mean")
    runner = await Runner.start(placement.spec)
    try:
        await runner.embed([[300] * 2048])
        rss = psutil.Process(runner.pid).memory_info().rss
        assert rss > 2048 * 30_000 * 4
        assert_close(placement.needed, rss)
    finally:
        await runner.aclose()
