"""Weights that have a copy beside the mapped file are counted, and held, once."""

from __future__ import annotations

import mmap
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from ollama_engine.runner.mapped import copied_weights, release_mapped, without_copied
from ollama_engine.runner.protocol import Buffer
from tests.engine.runner.running import answer, running
from tests.support.sized_models import dense, windowed

MIB = 1 << 20
SMALL = partial(dense, n_layer=8, width=1024, ff=4096, heads=8, vocab=1000)


def test_only_what_is_mapped_and_copied_counts_less() -> None:
    mapped = Buffer("CPU_Mapped", "model", 100)
    copy = Buffer("CPU_REPACK", "model", 80)
    cache = Buffer("CPU", "KV", 7)
    assert copied_weights([mapped, copy, cache]) == 80
    assert copied_weights([copy, cache]) == 0
    assert [without_copied(buffer, 80).size for buffer in (mapped, copy, cache)] == [20, 80, 7]
    assert without_copied(mapped, 500).size == 0


async def test_a_runner_holds_its_weights_once(tmp_path: Path) -> None:
    path = SMALL(tmp_path / "m.gguf")
    async with running(path, n_ctx=256) as runner:
        weights = sum(buffer.size for buffer in runner.info.buffers if buffer.kind == "model")
        assert weights == pytest.approx(path.stat().st_size, rel=0.02, abs=MIB)
        await answer(runner, [300] * 8, max_tokens=1)
        if sys.platform == "linux":
            assert psutil.Process(runner.pid).memory_info().rss < 1.5 * path.stat().st_size + 64 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="others do not tell what is mapped")
def test_pages_that_were_let_go_of_come_back_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 64 * MIB)
    me = psutil.Process()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        assert pages[:: mmap.PAGESIZE].count(b"x") == len(pages) // mmap.PAGESIZE
        before = me.memory_info().rss
        release_mapped([str(tmp_path / "another"), str(path)])
        assert me.memory_info().rss < before - 32 * MIB
        assert pages[-1:] == b"x"


async def test_a_window_of_its_own_takes_fewer_cells_and_both_caches_are_counted(tmp_path: Path) -> None:
    path = windowed(tmp_path / "m.gguf", n_layer=6, width=128, ff=256, heads=1, kv_heads=1, window=256, vocab=1000)
    sizes: list[int] = []
    for full in (True, False):
        async with running(path, n_ctx=8192, full_windows=full) as runner:
            sizes.append(sum(buffer.size for buffer in runner.info.buffers if buffer.kind == "KV"))
    row = 2 * 128 * 2
    assert sizes == pytest.approx([6 * 8192 * row, (8192 + 5 * (256 + 512)) * row], rel=0.02)
