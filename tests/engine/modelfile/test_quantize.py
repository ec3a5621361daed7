"""`create` with `quantize`: real llama.cpp in a process of its own, on small random models."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from ollama_engine import creation
from ollama_engine.errors import EngineError, InvalidRequest, RunnerDied, RunnerError, StoreError
from ollama_engine.gguf import read_header, read_metadata
from ollama_engine.local import LocalEngine
from ollama_engine.modelfile.imatrix import read_imatrix
from ollama_engine.modelfile.quantizations import QUANTIZATIONS
from ollama_engine.settings import Settings
from ollama_engine.store import Store, open_model
from ollama_engine.types import CreateRequest, Progress, PullRequest, TransferProgress
from tests.support.gguf_models import Shape, random_model
from tests.support.gguf_split import split_gguf

SHAPE: Shape = {"n_layer": 1, "width": 256, "ff": 256, "heads": 4, "kv_heads": 4}
"""Rows of whole blocks of every type."""


@pytest.fixture(scope="module")
def f16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("f16") / "f16.gguf", **SHAPE)


@pytest.fixture(scope="module")
def imatrix(f16: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As llama-imatrix writes it."""
    path = tmp_path_factory.mktemp("imatrix") / "imatrix.gguf"
    writer = GGUFWriter(path, "")
    writer.add_type("imatrix")
    for tensor in read_header(f16).tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) == 2:
            sums = np.linspace(1, 9, tensor.shape[0], dtype=np.float32)[None, :]
            writer.add_tensor(f"{tensor.name}.in_sum2", sums)
            writer.add_tensor(f"{tensor.name}.counts", np.array([[4.0]], dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


async def no_pull(_request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
    raise AssertionError("nothing is to be pulled")
    yield TransferProgress()


def creating(store: Store, model: str = "m", *paths: Path, **fields: Any) -> AsyncGenerator[Progress, None]:
    files = {path.name: str(store.blobs.add_file(path).digest) for path in paths}
    return creation.create(store, CreateRequest(model, files=files or None, **fields), no_pull)


async def create(store: Store, model: str = "m", *paths: Path, **fields: Any) -> list[Progress]:
    return [step async for step in creating(store, model, *paths, **fields)]


def blob_files(store: Store) -> list[str]:
    return sorted(path.name for path in store.blobs.folder.iterdir())


@pytest.mark.parametrize("kind", [name for name, kind in QUANTIZATIONS.items() if not kind.needs_imatrix])
async def test_every_type_that_needs_no_imatrix_is_made_and_loads(kind: str, store: Store, f16: Path) -> None:
    await create(store, "m", f16, quantize=kind.lower())
    (weights,) = open_model(store, "m").model_paths
    level = read_metadata(weights).quantization_level
    assert level == open_model(store, "m").config.file_type
    assert kind.startswith(level)
    store.blobs.verify(open_model(store, "m").manifest.layers[0].digest)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=() if name in ("Q2_K_S", "IQ2_XXS") else pytest.mark.soak)  # some take half a minute
        for name, kind in QUANTIZATIONS.items()
        if kind.needs_imatrix
    ],
)
async def test_the_smallest_types_are_made_with_an_importance_matrix(
    kind: str, store: Store, f16: Path, imatrix: Path
) -> None:
    with pytest.raises(InvalidRequest, match="needs an importance matrix"):
        await create(store, "m", f16, quantize=kind)
    digest = str(store.blobs.add_file(imatrix).digest)
    await create(store, "m", f16, quantize=kind, imatrix=digest)
    assert open_model(store, "m").config.file_type == kind


async def test_a_matrix_changes_what_is_made(store: Store, f16: Path, imatrix: Path) -> None:
    await create(store, "plain", f16, quantize="Q4_K_M")
    await create(store, "weighed", f16, quantize="Q4_K_M", imatrix=str(store.blobs.add_file(imatrix).digest))
    plain, weighed = (open_model(store, name).manifest.layers[0] for name in ("plain", "weighed"))
    assert plain.digest != weighed.digest


async def test_progress_tells_the_types_and_goes_from_nothing_to_all(store: Store, f16: Path) -> None:
    steps = await create(store, "m", f16, quantize="q4_k_m")
    quantizing = [step for step in steps if step.status == "quantizing F16 model to Q4_K_M"]
    done = [step.completed for step in quantizing]
    assert {step.digest for step in quantizing} == {"0" * 19}
    assert {step.total for step in quantizing} == {read_metadata(f16).weights_bytes}
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == quantizing[-1].total
    assert len(set(done)) > len(read_header(f16).tensors) - 2
    assert steps[-1].status == "success"
    assert [step.status for step in steps].index("parsing GGUF") > steps.index(quantizing[-1])


async def test_a_quantized_model_answers(tmp_path: Path, f16: Path) -> None:
    async with LocalEngine(Settings(models=tmp_path / "store")) as engine:
        store = Store(tmp_path / "store")
        request = CreateRequest("m", files={"m.gguf": str(store.blobs.add_file(f16).digest)}, quantize="Q4_K_M")
        async for _ in engine.create(request):
            pass
        await engine.load("m")
        assert [model.details.quantization_level for model in await engine.running() if model.details] == ["Q4_K_M"]


async def test_shards_become_one_file(store: Store, f16: Path, tmp_path: Path) -> None:
    whole = tmp_path / "m.gguf"
    whole.write_bytes(f16.read_bytes())
    await create(store, "m", *split_gguf(whole, 3), quantize="Q8_0")
    await create(store, "one", f16, quantize="Q8_0")
    (sharded,), (single,) = open_model(store, "m").model_paths, open_model(store, "one").model_paths
    tensors = [{tensor.name: tensor.nbytes for tensor in read_header(path).tensors} for path in (sharded, single)]
    assert tensors[0] == tensors[1]
    assert read_header(sharded).integer("split.count") == 0


async def test_a_model_of_the_store_is_quantized_and_keeps_the_rest(store: Store, f16: Path) -> None:
    await create(store, "base", f16, system="Be brief.")
    await create(store, "small", from_="base", quantize="Q8_0")
    small = open_model(store, "small")
    assert small.config.file_type == "Q8_0"
    assert small.system == "Be brief."
    assert open_model(store, "base").config.file_type == "F16"


async def test_only_full_precision_is_quantized(store: Store, tmp_path: Path) -> None:
    path = random_model(tmp_path / "q8.gguf", **SHAPE, weights=GGMLQuantizationType.Q8_0)
    with pytest.raises(EngineError, match="quantization is only supported for F16, BF16 and F32 models") as raised:
        await create(store, "m", path, quantize="Q4_K_M")
    assert raised.value.status == 500
    assert not store.names()
    await create(store, "m", path, quantize="Q4_K_M", requantize=True)
    assert open_model(store, "m").config.file_type == "Q4_K_M"


async def test_an_unknown_type_lists_those_that_there_are(store: Store, f16: Path) -> None:
    with pytest.raises(
        InvalidRequest, match="unsupported quantization type Q3 - supported types are F32, F16"
    ) as raised:
        await create(store, "m", f16, quantize="Q3")
    assert all(kind in raised.value.message for kind in QUANTIZATIONS)


async def test_a_cancelled_quantization_leaves_no_process_and_no_file(store: Store, f16: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    stream = creating(store, "m", f16, quantize="Q2_K")
    blobs = blob_files(store)
    async with aclosing(stream):
        async for step in stream:
            if step.status.startswith("quantizing") and step.completed:
                break
        assert {child.pid for child in psutil.Process().children()} - before
        assert blob_files(store) != blobs
    assert {child.pid for child in psutil.Process().children()} == before
    assert blob_files(store) == blobs
    assert not store.names()


async def test_a_process_that_dies_is_an_error_and_leaves_nothing(store: Store, f16: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}

    async def killing() -> None:
        async for step in stream:
            if step.status.startswith("quantizing"):
                for child in psutil.Process().children():
                    if child.pid not in before:
                        os.kill(child.pid, signal.SIGKILL)

    stream = creating(store, "m", f16, quantize="Q2_K")
    blobs = blob_files(store)
    with pytest.raises(RunnerDied, match="SIGKILL"):
        await killing()
    assert blob_files(store) == blobs


async def test_what_llama_cpp_refuses_is_said_in_its_words(store: Store, tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "odd.gguf", "never-heard-of")
    writer.add_file_type(1)
    writer.add_tensor("blk.0.attn_q.weight", np.zeros((32, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(RunnerError, match="never-heard-of"):
        await create(store, "m", tmp_path / "odd.gguf", quantize="Q8_0")
    assert len(blob_files(store)) == 1


async def test_a_full_disk_is_seen_before_anything_is_written(
    store: Store, f16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "free_bytes", lambda _: 1000)
    with pytest.raises(StoreError, match="are free on the disk"):
        await create(store, "m", f16, quantize="Q8_0")
    assert len(blob_files(store)) == 1


async def test_pinned_tensors_keep_their_finer_type(store: Store, f16: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "PINNED", {"llama": creation.PINNED["glm4"]})
    await create(store, "m", f16, quantize="Q4_K_M")
    types = {tensor.name: tensor.type for tensor in read_header(open_model(store, "m").model_paths[0]).tensors}
    assert types["token_embd.weight"] == "F16"
    assert types["blk.0.attn_q.weight"] == "Q4_K"
    await create(store, "large", f16, quantize="Q5_K_M")
    types = {tensor.name: tensor.type for tensor in read_header(open_model(store, "large").model_paths[0]).tensors}
    assert types["token_embd.weight"] != "F16"


def test_an_older_importance_matrix_is_read(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(struct.pack("<ii1sii2f", 1, 1, b"t", 2, 2, 3.0, 5.0) + struct.pack("<ii", 7, 0))
    assert np.frombuffer(read_imatrix(path)["t"], np.float32).tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"hello, world",
        struct.pack("<i", 1),
        struct.pack("<ii", 1, -5),
        struct.pack("<ii1sii1f", 1, 1, b"t", 1, 2, 1.0),
        struct.pack("<ii1sii1f", 1, 1, b"t", 1, 1, float("nan")),
    ],
)
def test_what_is_no_importance_matrix_is_said_so(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "imatrix.dat"
    path.write_bytes(data)
    with pytest.raises(InvalidRequest, match="no importance matrix"):
        read_imatrix(path)
