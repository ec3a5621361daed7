"""What loads, what does not, and what is said about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ollama_engine.errors import LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import BARD, answer, running
from tests.support.gguf_models import Shape, random_model, scripted_model
from tests.support.gguf_split import split_gguf


async def test_what_is_known_after_the_load() -> None:
    seen: list[float] = []
    runner = await Runner.start(LoadSpec([str(BARD)], 256, n_seq=3, n_threads=1), on_progress=seen.append)
    try:
        info = runner.info
        assert (info.n_ctx, info.n_seq, info.n_ctx_train) == (256, 3, 512)
        assert (info.n_vocab, info.n_layers, info.can_shift) == (1024, 6, True)
        kinds = {buffer.kind: buffer.size for buffer in info.buffers}
        assert kinds["model"] > 3_000_000
        assert kinds["KV"] > 0
        assert kinds["compute"] > 0
        assert seen == sorted(seen)
        assert seen[-1] == 1.0
    finally:
        await runner.aclose()


async def test_shards_under_any_names_are_one_model(tmp_path: Path) -> None:
    shards = split_gguf(scripted_model(tmp_path / "whole.gguf", "in three parts"), 3)
    blobs = [shard.rename(tmp_path / f"sha256-{number:064x}") for number, shard in enumerate(shards)]
    runner = await Runner.start(LoadSpec([str(blob) for blob in blobs], 512))
    try:
        assert (await answer(runner)).text == "in three parts"
    finally:
        await runner.aclose()


async def test_a_path_with_spaces_and_letters_of_any_kind(tmp_path: Path) -> None:
    model = shutil.copy(BARD, tmp_path / "můj model 🌍.gguf")
    async with running(Path(model)) as runner:
        assert (await answer(runner, max_tokens=3)).text


@pytest.mark.parametrize(("kind", "smaller"), [("q8_0", True), ("q4_0", True), ("f16", False), ("f32", False)])
async def test_the_kv_cache_type_is_taken(kind: str, smaller: bool) -> None:
    sizes = {}
    for kv_cache_type in ("", kind):
        async with running(BARD, cache_type_k=kv_cache_type, cache_type_v=kv_cache_type) as runner:
            sizes[kv_cache_type] = sum(buffer.size for buffer in runner.info.buffers if buffer.kind == "KV")
            assert (await answer(runner, max_tokens=3)).text
    assert (sizes[kind] < sizes[""]) is smaller


async def test_weights_read_instead_of_mapped() -> None:
    async with running(BARD, use_mmap=False) as runner:
        assert "CPU_Mapped" not in {buffer.device for buffer in runner.info.buffers}
        assert (await answer(runner, max_tokens=3)).text


class TestBrokenModels:
    @pytest.mark.parametrize("kind", ["truncated", "header only", "garbage", "text", "empty", "missing", "folder"])
    async def test_the_reason_and_a_way_out_are_told(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "broken.gguf"
        whole = BARD.read_bytes()
        match kind:
            case "truncated":
                path.write_bytes(whole[: len(whole) // 2])
            case "header only":
                path.write_bytes(whole[:100])
            case "garbage":
                path.write_bytes(b"GGUF" + bytes(range(256)) * 100)
            case "text":
                path.write_text("This is not a model.\n" * 100)
            case "empty":
                path.touch()
            case "folder":
                path.mkdir()
            case _:
                pass
        with pytest.raises(LoadFailed, match="unable to load model: ") as caught:
            await Runner.start(LoadSpec([str(path)], 512))
        assert len(caught.value.message) > len("unable to load model: the model did not load")
        assert caught.value.hint

    async def test_a_shard_that_is_not_there(self, tmp_path: Path) -> None:
        shards = split_gguf(scripted_model(tmp_path / "whole.gguf", "in two parts"), 2)
        with pytest.raises(LoadFailed):
            await Runner.start(LoadSpec([str(shards[0]), str(tmp_path / "none")], 512))

    async def test_a_context_that_no_memory_holds(self, tmp_path: Path) -> None:
        deep: Shape = {"n_layer": 64, "width": 256, "ff": 64, "heads": 4, "kv_heads": 4}
        model = random_model(tmp_path / "m.gguf", **deep, context_length=2**23)
        with pytest.raises(LoadFailed, match=r"context could not be made.*alloc") as caught:
            await Runner.start(LoadSpec([str(model)], 2**23, cache_type_k="f32", cache_type_v="f32"))
        assert "num_ctx" in caught.value.hint

    async def test_a_load_without_progress_is_given_up(self) -> None:
        with pytest.raises(LoadFailed, match="no progress") as caught:
            await Runner.start(LoadSpec([str(BARD)], 512), stall_timeout=0.001)
        assert "OLLAMA_LOAD_TIMEOUT" in caught.value.hint
