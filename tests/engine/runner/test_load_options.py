"""What a spec says about a load is what llama.cpp does: read back from its buffers, its log and the process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest, LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import BARD, answer, running
from tests.support.gguf_models import TINY, random_model
from tests.support.moe_models import moe_model

MIB = 1024 * 1024
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is read")


def kv_bytes(runner: Runner) -> int:
    return sum(buffer.size for buffer in runner.info.buffers if buffer.kind == "KV")


def status(runner: Runner, key: str) -> int:
    lines = Path(f"/proc/{runner.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


class TestKvCache:
    async def test_keys_and_values_have_types_of_their_own(self) -> None:
        sizes = {}
        for k, v in (("f16", "f16"), ("q8_0", ""), ("", "q8_0"), ("q8_0", "q8_0"), ("q4_0", "q8_0")):
            async with running(BARD, cache_type_k=k, cache_type_v=v) as runner:
                sizes[k, v] = kv_bytes(runner)
                assert (await answer(runner, max_tokens=2)).text
        whole = sizes["f16", "f16"]
        # A block of 32 numbers takes 64 bytes as f16, 34 as q8_0, 18 as q4_0; the log has two digits of a MiB.
        assert sizes["q8_0", ""] == pytest.approx(whole * (64 + 34) / 128, rel=0.02)
        assert sizes["", "q8_0"] == sizes["q8_0", ""]
        assert sizes["q8_0", "q8_0"] == pytest.approx(whole * 34 / 64, rel=0.02)
        assert sizes["q4_0", "q8_0"] == pytest.approx(whole * (18 + 34) / 128, rel=0.02)

    async def test_heads_that_are_no_whole_blocks_are_refused_with_a_way_out(self, tmp_path: Path) -> None:
        narrow = random_model(tmp_path / "narrow.gguf", **TINY)  # 16 numbers a head
        with pytest.raises(LoadFailed, match=r"cache type q8_0 .* does not divide") as caught:
            await Runner.start(LoadSpec([str(narrow)], 128, cache_type_k="q8_0"))
        assert "cache_type_k" in caught.value.hint
        assert not caught.value.out_of_memory


@linux
class TestReadingTheFile:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Of some 20 MiB, F16: nothing of it is repacked into buffers of its own."""
        shape: Any = {"n_layer": 4, "width": 512, "ff": 1024, "heads": 8, "kv_heads": 8}
        return random_model(tmp_path_factory.mktemp("models") / "m.gguf", **shape)

    @pytest.mark.parametrize("use_mmap", [True, False, None])
    async def test_it_is_mapped_or_not(self, model: Path, use_mmap: bool | None) -> None:
        async with running(model, use_mmap=use_mmap) as runner:
            maps = Path(f"/proc/{runner.pid}/maps").read_text()
            assert (str(model) in maps) is (use_mmap is not False)

    @pytest.mark.parametrize("use_mmap", [None, False])
    async def test_locked_weights_are_locked(self, model: Path, use_mmap: bool | None) -> None:
        async with running(model, use_mlock=True, use_mmap=use_mmap) as runner:
            if runner.info.notices:
                pytest.skip("this system does not let so much be locked")
            assert status(runner, "VmLck") * 1024 >= 0.9 * model.stat().st_size
        async with running(model, use_mmap=use_mmap) as runner:
            assert status(runner, "VmLck") == 0

    async def test_where_they_cannot_be_locked_that_is_said(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        through(
            monkeypatch,
            tmp_path,
            "import ctypes, resource",
            "ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)",  # PR_CAPBSET_DROP, CAP_IPC_LOCK: root has no limit else
            f"resource.setrlimit(resource.RLIMIT_MEMLOCK, ({MIB}, {MIB}))",
        )
        async with running(model, use_mlock=True) as runner:
            (notice,) = runner.info.notices
            assert "use_mlock" in notice
            assert "the limit of the process is 1 MiB" in notice
            assert "ulimit -l" in notice
            assert (await answer(runner, max_tokens=2)).done.output_tokens == 2

    async def test_as_much_is_locked_as_the_hard_limit_allows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size, hard = BARD.stat().st_size, resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
        if hard != resource.RLIM_INFINITY and hard < 2 * size:
            pytest.skip("the limit of this process is too low")
        through(
            monkeypatch,
            tmp_path,
            "import ctypes, resource",
            "ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)",
            f"resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, {hard}))",
        )
        async with running(BARD, use_mlock=True) as runner:
            assert runner.info.notices == []
            assert status(runner, "VmLck") * 1024 >= 0.9 * size


def through(monkeypatch: pytest.MonkeyPatch, folder: Path, *lines: str) -> None:
    """Let runners run these lines of Python before they become runners."""
    wrapper = folder / "wrapper"
    become = f"import os, sys; os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])"
    wrapper.write_text("\n".join((f"#!{sys.executable}", *lines, become)))
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))


@linux
async def test_threads_of_prompts_and_of_answers() -> None:
    async def threads(**spec: Any) -> int:
        """Those that a runner has in the end, beyond what it has without computing."""
        async with running(BARD, **spec) as runner:
            before = status(runner, "Threads")
            assert (await answer(runner, "To be, or not to be", max_tokens=4)).done.output_tokens == 4
            return status(runner, "Threads") - before

    assert await threads(n_threads=1) == 0
    assert await threads(n_threads=4) == 3
    assert await threads(n_threads=1, n_threads_batch=5) == 4
    assert await threads(n_threads=3, n_threads_batch=1) == 2


async def test_a_batch_is_computed_in_pieces_of_the_size_asked_for() -> None:
    computing = {}
    for n_ubatch in (16, 0):
        async with running(BARD, n_ubatch=n_ubatch) as runner:
            computing[n_ubatch] = sum(buffer.size for buffer in runner.info.buffers if buffer.kind == "compute")
            assert (await answer(runner, list(range(100)), max_tokens=2)).text
    assert computing[16] < computing[0] / 4


class TestDevices:
    @pytest.mark.parametrize("devices", [["CPU"], ["cpu"], ["none"]])
    async def test_the_processor_alone(self, devices: list[str]) -> None:
        async with running(BARD, devices=devices, n_gpu_layers=99) as runner:
            assert all(buffer.device.startswith("CPU") for buffer in runner.info.buffers)
            assert (await answer(runner, max_tokens=2)).text

    async def test_one_that_is_not_there_is_named_with_those_that_are(self) -> None:
        with pytest.raises(InvalidRequest, match=r"no device CUDA7 .*there are: .*CPU") as caught:
            await Runner.start(LoadSpec([str(BARD)], 128, devices=["CUDA7"]))
        assert "devices" in caught.value.hint

    async def test_splits_are_nothing_to_a_machine_without_gpus(self) -> None:
        spec: Any = {"split_mode": "layer", "tensor_split": [3, 1], "main_gpu": 0, "kv_offload": False}
        async with running(BARD, **spec) as runner:
            assert (await answer(runner, max_tokens=2)).text


async def test_experts_stay_in_ram_and_the_model_says_the_same(tmp_path: Path) -> None:
    model = moe_model(tmp_path / "moe.gguf")
    texts = set()
    for n_cpu_moe in (0, 2, -1):
        async with running(model, n_cpu_moe=n_cpu_moe) as runner:
            texts.add((await answer(runner, "which experts?", max_tokens=8)).text)
    assert len(texts) == 1
