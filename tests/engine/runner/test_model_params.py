"""What is handed to llama.cpp for a load: the structs are looked at, and the log that comes of them."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.runner import model_params
from ollama_engine.runner.ggml_devices import DeviceHandle, all_devices, cpu_buffer_type
from ollama_engine.runner.llama import C
from ollama_engine.runner.llama_context import LlamaContext, context_params
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.model_params import CannotLoadSo, ModelParams, Override
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import BARD
from tests.support.moe_models import moe_model


def handle(number: int, name: str, kind: str = "gpu") -> DeviceHandle:
    return DeviceHandle(number, name, "", kind, 0, 0, "")


THREE_GPUS = [
    handle(1, "CPU", "cpu"),
    handle(2, "CUDA0"),
    handle(3, "CUDA1"),
    handle(4, "CUDA2"),
    handle(5, "Vk0", "igpu"),
]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_params, "all_devices", lambda: THREE_GPUS)


def made(**spec: Any) -> ModelParams:
    C.llama_backend_init()
    return ModelParams(LoadSpec([], 512, **spec), lambda fraction: True)


def devices(params: ModelParams) -> list[int] | None:
    if not params.struct.devices:
        return None
    array = ctypes.cast(params.struct.devices, ctypes.POINTER(ctypes.c_void_p))
    found: list[int] = []
    while array[len(found)]:
        found.append(array[len(found)] or 0)
    return found


@pytest.mark.usefixtures("gpus")
class TestSplits:
    """No GPU is needed to see what llama.cpp is told about them."""

    def test_nothing_said(self) -> None:
        params = made()
        struct = params.struct
        assert devices(params) is None
        assert not struct.tensor_split
        assert not struct.tensor_buft_overrides
        assert (struct.n_gpu_layers, struct.split_mode) == (-1, C.LLAMA_SPLIT_MODE_LAYER)

    def test_devices_in_the_order_of_the_caller(self) -> None:
        assert devices(made(devices=["CUDA2", "cuda0"])) == [4, 2]
        assert devices(made(devices=["CUDA1", "CPU"])) == [3]
        assert devices(made(devices=["Vk0"])) == [5]
        assert devices(made(devices=["CPU"])) == []

    def test_devices_that_are_not_there(self) -> None:
        with pytest.raises(CannotLoadSo, match=r"no device CUDA3 .* there are: CUDA0, CUDA1, CUDA2, Vk0, CPU$"):
            made(devices=["CUDA0", "CUDA3"])
        with pytest.raises(CannotLoadSo, match="CUDA0 is named twice"):
            made(devices=["CUDA0", "cuda0"])

    def test_the_main_gpu_takes_all_unless_a_split_is_asked_for(self) -> None:
        alone, with_rows = made(main_gpu=2), made(main_gpu=1, split_mode="row")
        assert (alone.struct.main_gpu, alone.struct.split_mode) == (2, C.LLAMA_SPLIT_MODE_NONE)
        assert (with_rows.struct.main_gpu, with_rows.struct.split_mode) == (1, C.LLAMA_SPLIT_MODE_ROW)
        with pytest.raises(
            CannotLoadSo, match="main_gpu is 3, but the devices, counted from 0, are CUDA0, CUDA1, CUDA2"
        ):
            made(main_gpu=3)
        with pytest.raises(CannotLoadSo, match=r"are CUDA1$"):
            made(main_gpu=1, devices=["CUDA1"])

    def test_parts_of_the_devices(self) -> None:
        split = made(tensor_split=[3, 1], split_mode="layer", n_gpu_layers=7)
        assert list(split.struct.tensor_split[: C.llama_max_devices()]) == [3, 1] + [0] * 14
        assert (split.struct.n_gpu_layers, split.struct.split_mode) == (7, C.LLAMA_SPLIT_MODE_LAYER)


class TestExperts:
    def overrides(self, n_cpu_moe: int) -> list[tuple[str, int]]:
        params = made(n_cpu_moe=n_cpu_moe)
        array = ctypes.cast(params.struct.tensor_buft_overrides, ctypes.POINTER(Override))
        found: list[tuple[str, int]] = []
        while array[len(found)].pattern:
            found.append((array[len(found)].pattern.decode(), array[len(found)].buffer_type))
        return found

    @pytest.mark.parametrize(("n_cpu_moe", "layers"), [(1, [0]), (11, range(11)), (-1, range(600)), (512, range(600))])
    def test_those_of_the_first_layers(self, n_cpu_moe: int, layers: Any) -> None:
        ((pattern, buffer_type),) = self.overrides(n_cpu_moe)
        assert buffer_type == cpu_buffer_type()
        names = [f"blk.{layer}.ffn_{part}_exps.weight" for layer in range(600) for part in ("up", "down", "gate")]
        held = {int(name.split(".")[1]) for name in names if re.search(pattern, name)}
        assert held == set(layers)

    @pytest.mark.parametrize("name", ["blk.0.ffn_up.weight", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q.weight"])
    def test_and_nothing_else(self, name: str) -> None:
        ((pattern, _),) = self.overrides(-1)
        assert not re.search(pattern, name)

    def test_llama_cpp_follows_them(self, tmp_path: Path) -> None:
        """It says which tensors it puts elsewhere than it would have."""
        assert moved(tmp_path, 0) == set()
        assert moved(tmp_path, 2) == {f"blk.{n}.ffn_{part}_exps" for n in (0, 1) for part in ("gate", "up", "down")}
        assert len(moved(tmp_path, -1)) == 9


def moved(folder: Path, n_cpu_moe: int) -> set[str]:
    model = moe_model(folder / "moe.gguf")
    log = logged(f"LlamaModel(LoadSpec([{str(model)!r}], 128, n_cpu_moe={n_cpu_moe}), lambda fraction: True)")
    return set(re.findall(r"tensor (\S+)\.weight .*buffer type overridden to CPU", log))


def logged(*lines: str) -> str:
    """What llama.cpp and ggml write while a process of its own runs these lines."""
    program = (
        "import sys",
        "from ollama_engine.runner import llama",
        "from ollama_engine.runner.llama import C",
        "from ollama_engine.runner.llama_model import LlamaModel",
        "from ollama_engine.runner.protocol import LoadSpec",
        "keep = llama.set_log(lambda level, text: sys.stderr.write(text) and None)",
        *lines,
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], stderr=subprocess.PIPE, text=True, check=True)
    return done.stderr


@pytest.mark.parametrize("strategy", ["distribute", "isolate", "numactl"])
def test_numa_is_set_before_the_model_is_loaded(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(C, "llama_numa_init", calls.append)
    monkeypatch.setattr(C, "llama_model_load_from_file", lambda *args: calls.append("load"))
    with pytest.raises(Exception, match="did not load"):
        LlamaModel(LoadSpec([str(BARD)], 128, numa=strategy), lambda fraction: True)
    assert calls == [model_params.NUMA[strategy], "load"]


@pytest.mark.skipif(sys.platform != "linux", reason="ggml knows NUMA on Linux alone")
def test_ggml_has_been_told_of_numa() -> None:
    """It complains when it is told a second time."""
    load = f"LlamaModel(LoadSpec([{str(BARD)!r}], 128, numa=%r), lambda fraction: True)"
    assert "NUMA already initialized" not in logged(load % "", "C.llama_numa_init(1)")
    assert "NUMA already initialized" in logged(load % "distribute", "C.llama_numa_init(1)")


@pytest.mark.parametrize(
    ("use_mmap", "use_mlock", "mode"),
    [
        (None, False, C.LLAMA_LOAD_MODE_AUTO),
        (True, False, C.LLAMA_LOAD_MODE_MMAP),
        (False, False, C.LLAMA_LOAD_MODE_NONE),
        (None, True, C.LLAMA_LOAD_MODE_MMAP_MLOCK),
        (True, True, C.LLAMA_LOAD_MODE_MMAP_MLOCK),
        (False, True, C.LLAMA_LOAD_MODE_MLOCK),
    ],
)
def test_how_the_file_is_read(use_mmap: bool | None, use_mlock: bool, mode: int) -> None:
    assert made(use_mmap=use_mmap, use_mlock=use_mlock).struct.load_mode == mode


def test_parameters_of_a_context() -> None:
    params = context_params(LoadSpec([], 1, cache_type_k="q8_0", cache_type_v="q4_1", kv_offload=False, n_threads=3))
    assert (params.type_k, params.type_v, params.offload_kqv) == (8, 3, False)
    assert (params.n_threads, params.n_threads_batch) == (3, 3)
    for flash, kind in ((None, -1), (False, 0), (True, 1)):
        assert context_params(LoadSpec([], 1, flash_attention=flash)).flash_attn_type == kind
    assert context_params(LoadSpec([], 1)).offload_kqv


def test_a_context_has_the_threads_and_pieces_asked_for() -> None:
    model = LlamaModel(LoadSpec([str(BARD)], 128), lambda fraction: True)
    spec = LoadSpec([], 128, n_batch=64, n_ubatch=32, n_threads=2, n_threads_batch=3)
    context = LlamaContext(model, spec)
    assert (C.llama_n_ubatch(context.handle), C.llama_n_batch(context.handle)) == (32, 64)
    assert (C.llama_n_threads(context.handle), C.llama_n_threads_batch(context.handle)) == (2, 3)
    C.llama_free(context.handle)


def test_the_processor_is_a_device_that_takes_no_layers() -> None:
    cpu = next(device for device in all_devices() if device.name == "CPU")
    assert (cpu.kind, cpu.takes_layers) == ("cpu", False)
