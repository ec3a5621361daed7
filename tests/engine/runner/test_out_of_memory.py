"""A load that fails for lack of memory is told from one that fails otherwise, however the lack shows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_engine.errors import LoadFailed
from ollama_engine.runner import client
from ollama_engine.runner.client import Runner
from ollama_engine.runner.logs import LlamaLog, lacks_memory
from ollama_engine.runner.oom import kernel_kills
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import BARD, runner_processes, running, until
from tests.support.gguf_models import Shape, random_model

MIB = 1024 * 1024
ERROR, WARNING = 4, 3
BIG: Shape = {"n_layer": 4, "width": 1024, "ff": 2048, "heads": 4, "kv_heads": 4}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 80 MB."""
    return random_model(tmp_path_factory.mktemp("models") / "big.gguf", **BIG)


async def failing(model: Path, **spec: int) -> LoadFailed:
    with pytest.raises(LoadFailed) as caught:
        await Runner.start(LoadSpec([str(model)], **{"n_ctx": 512, "n_threads": 1, **spec}, use_mmap=False))
    return caught.value


@pytest.mark.parametrize(
    "message",
    [
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB: cudaMalloc failed: out of memory",
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 536870912",
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        "ggml_vulkan: Device memory allocation failed: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
        "ggml_aligned_malloc: insufficient memory (attempted to allocate 4096.00 MB)",
        "llama_model_load: error loading model: mmap failed: Cannot allocate memory",
        "error loading model: std::bad_alloc",
        "ggml.c:1644: GGML_ASSERT(ctx->mem_buffer != NULL) failed",
    ],
)
def test_what_backends_say_when_they_lack_memory(message: str) -> None:
    log = LlamaLog()
    log.write(ERROR, message)
    assert log.out_of_memory


def test_a_warning_or_another_error_is_no_lack_of_memory() -> None:
    log = LlamaLog()
    log.write(
        WARNING, "warning: failed to mlock 4096-byte buffer (after previously locking 0 bytes): Cannot allocate memory"
    )
    log.write(ERROR, "llama_model_load: error loading model: tensor 'blk.0.attn_q.weight' not found")
    assert not log.out_of_memory
    assert log.not_locked == "Cannot allocate memory"
    assert not lacks_memory("unknown model architecture: 'memory'")


async def test_a_broken_file_is_not(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(BARD.read_bytes()[:100_000])
    error = await failing(broken)
    assert not error.out_of_memory
    assert "may be broken" in error.hint


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
class TestALimit:
    """Of address space, on the runner's process alone."""

    async def limited(self, monkeypatch: pytest.MonkeyPatch, folder: Path, more: int) -> None:
        """Runners get what one with a small context takes, and so much more."""
        async with running(BARD) as runner:
            lines = Path(f"/proc/{runner.pid}/status").read_text().splitlines()
            peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmPeak"))
        limit_address_space(monkeypatch, folder, peak + more)

    async def test_the_weights_have_no_room(self, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        await self.limited(monkeypatch, tmp_path, 32 * MIB)
        error = await failing(big)
        assert error.out_of_memory
        assert "num_ctx" in error.hint

    async def test_the_context_has_no_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        await self.limited(monkeypatch, tmp_path, 64 * MIB)
        async with running(BARD):
            pass
        error = await failing(BARD, n_seq=256)
        assert error.out_of_memory
        assert "context could not be made" in error.message


def limit_address_space(monkeypatch: pytest.MonkeyPatch, folder: Path, size: int) -> None:
    wrapper = folder / "limited"
    wrapper.write_text(f'#!/bin/sh\nulimit -v {size // 1024}\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))


class TestASignal:
    async def kill_one_that_loads(self, model: Path) -> LoadFailed:
        start = asyncio.create_task(failing(model))
        await until(runner_processes)
        os.kill(runner_processes()[0].pid, signal.SIGKILL)
        return await start

    async def test_of_a_person_is_no_lack_of_memory(self, big: Path) -> None:
        error = await self.kill_one_that_loads(big)
        assert not error.out_of_memory
        assert "signal 9" in error.message

    async def test_of_the_kernel_is(self, big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        counts = iter([3, 4])
        monkeypatch.setattr(client, "kernel_kills", lambda: next(counts))
        error = await self.kill_one_that_loads(big)
        assert error.out_of_memory
        assert "because memory ran out" in error.message

    async def test_the_kernel_kills_one_in_a_cgroup(
        self, big: Path, cgroup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrapper = tmp_path / "caged"
        wrapper.write_text(f'#!/bin/sh\necho $$ > {cgroup}/cgroup.procs\nexec {sys.executable} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(wrapper))
        before = kernel_kills()
        error = await failing(big)
        if kernel_kills() == before:
            pytest.skip("this kernel does not count what it kills")
        assert error.out_of_memory


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup with room for a runner and not for the model; skips where none can be made."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    parent, limit = (old, "memory.limit_in_bytes") if old.is_dir() else (new, "memory.max")
    folder = parent / f"ollama-tui-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        (folder / limit).write_text(str(100 * MIB))
        yield folder
    except OSError as error:
        pytest.skip(f"the memory of a cgroup cannot be limited here: {error}")
    finally:
        folder.rmdir()


def test_the_kernel_s_count_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "vmstat"
    monkeypatch.setattr("ollama_engine.runner.oom.VMSTAT", table)
    assert kernel_kills() == 0
    table.write_text("nr_free_pages 1\noom_kill 17\noom_kill_other 5\n")
    assert kernel_kills() == 17
