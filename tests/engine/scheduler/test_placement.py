"""How a model is loaded, from its shape, the options and the memory that is free."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from ollama_engine.errors import LoadFailed
from ollama_engine.gguf.header import read_header
from ollama_engine.gguf.memory import kv_cells, layer_cache_bytes
from ollama_engine.gguf.metadata import ModelMetadata, read_metadata
from ollama_engine.gguf.projector_memory import projector_memory
from ollama_engine.options import Options
from ollama_engine.runner.protocol import Adapter
from ollama_engine.scheduler.load_options import FIELDS
from ollama_engine.scheduler.placement import (
    COMFORT,
    GIB,
    GPU_RESERVE,
    MIB,
    PROJECTOR_CONTEXT,
    FreeMemory,
    GpuMemory,
    Placement,
    check_fits,
    place,
)
from ollama_engine.settings import Settings
from tests.support.gguf_models import TINY, random_model
from tests.support.gguf_split import split_gguf
from tests.support.media_models import vision_projector

PLENTY = FreeMemory(ram=64 * GIB)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("models") / "m.gguf", **TINY, context_length=131_072)


@pytest.fixture(scope="module")
def metadata(model: Path) -> ModelMetadata:
    return read_metadata(model)


def placed(
    model: Path, metadata: ModelMetadata, free: FreeMemory = PLENTY, settings: Settings | None = None, **options: Any
) -> Placement:
    return place([model], metadata, Options(**options), frozenset(options), settings or Settings(), free)


def cache(metadata: ModelMetadata, n_ctx: int, n_seq: int) -> int:
    """Bytes of the KV cache, each sequence with a stream of its own."""
    kept = metadata.memory.cache
    cells = kv_cells(kept, n_ctx * n_seq, n_seq, 512, unified=False, full_windows=True)
    return sum(layer_cache_bytes(kept, cells, n_seq, "f16", "f16"))


def test_the_defaults(model: Path, metadata: ModelMetadata) -> None:
    placement = placed(model, metadata)
    spec = placement.spec
    assert spec.model_paths == [str(model)]
    assert (spec.n_ctx, spec.n_seq, spec.n_batch) == (4096, 4, 512)
    assert (spec.n_gpu_layers, spec.main_gpu, spec.use_mmap, spec.n_threads) == (-1, None, None, 0)
    assert placement.chosen == {"n_ctx", *FIELDS.values()}
    assert placement.split is not None
    assert placement.split.cpu.weights == metadata.weights_bytes
    assert placement.split.cpu.cache == cache(metadata, 4096, 4)
    assert placement.needed == placement.split.size == placement.device_needed["CPU"]


def test_options_are_taken_and_known_as_asked_for(model: Path, metadata: ModelMetadata) -> None:
    placement = placed(model, metadata, num_ctx=1000, num_batch=64, num_gpu=3, main_gpu=1, use_mmap=False, num_thread=2)
    spec = placement.spec
    assert (spec.n_ctx, spec.n_batch, spec.n_gpu_layers, spec.main_gpu) == (1000, 64, 3, 1)
    assert (spec.use_mmap, spec.n_threads) == (False, 2)
    given = {"n_ctx", "n_batch", "n_gpu_layers", "main_gpu", "use_mmap", "n_threads"}
    assert placement.chosen == set(FIELDS.values()) - given


@pytest.mark.parametrize(
    ("device_total", "n_ctx"), [(0, 4096), (8 * GIB, 4096), (24 * GIB, 32_768), (48 * GIB, 131_072)]
)
def test_more_device_memory_gives_more_context_up_to_the_models(
    model: Path, metadata: ModelMetadata, device_total: int, n_ctx: int
) -> None:
    free = FreeMemory(64 * GIB, (GpuMemory("CUDA0", device_total, device_total),))
    assert placed(model, metadata, free).spec.n_ctx == n_ctx


def test_the_context_of_the_settings_holds_where_the_request_has_none(model: Path, metadata: ModelMetadata) -> None:
    settings = Settings(context_length=8192)
    assert placed(model, metadata, settings=settings).spec.n_ctx == 8192
    assert placed(model, metadata, settings=settings, num_ctx=512).spec.n_ctx == 512


@pytest.mark.parametrize(("asked", "n_ctx"), [(1, 4), (131_072, 131_072), (10**9, 131_072)])
def test_the_context_is_kept_within_bounds(model: Path, metadata: ModelMetadata, asked: int, n_ctx: int) -> None:
    assert placed(model, metadata, num_ctx=asked).spec.n_ctx == n_ctx


def test_slots_are_as_many_as_memory_comfortably_holds(model: Path, metadata: ModelMetadata) -> None:
    needed = {n: placed(model, metadata, settings=Settings(num_parallel=n), num_ctx=131_072).needed for n in (1, 2, 4)}
    rooms = {needed[4] * 2: 4, needed[4]: 4, needed[4] - 1000: 2, needed[2]: 2, needed[2] - 1000: 1, needed[1] // 2: 1}
    for room, expected in rooms.items():
        free = FreeMemory(ram=int(room / COMFORT) + 10)
        assert placed(model, metadata, free, num_ctx=131_072).spec.n_seq == expected, room
    assert placed(model, metadata, settings=Settings(num_parallel=7)).spec.n_seq == 7


def test_a_context_of_our_choice_shrinks_before_memory_is_full(model: Path, metadata: ModelMetadata) -> None:
    room = placed(model, metadata, settings=Settings(num_parallel=1), num_ctx=40_000).needed + GPU_RESERVE
    big = FreeMemory(GIB, (GpuMemory("CUDA0", room, 48 * GIB),))
    spec = placed(model, metadata, big).spec
    assert 4096 <= spec.n_ctx < 131_072
    assert placed(model, metadata, big, num_ctx=100_000).spec.n_ctx == 100_000


def test_a_smaller_kv_cache_type_needs_less(model: Path, metadata: ModelMetadata) -> None:
    pairs = [("", ""), ("q8_0", ""), ("q8_0", "q8_0"), ("q4_0", "q8_0"), ("q4_0", "q4_0")]
    sizes = [placed(model, metadata, cache_type_k=k, cache_type_v=v).needed for k, v in pairs]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 5


def test_shards_are_weighed_together(model: Path, metadata: ModelMetadata) -> None:
    shards = split_gguf(model, 3)
    in_shards = place(shards, read_metadata(shards[0]), Options(), frozenset(), Settings(), PLENTY)
    assert in_shards.needed == placed(model, metadata).needed


def test_what_does_not_fit_is_refused_with_both_figures(model: Path, metadata: ModelMetadata) -> None:
    placement = replace(placed(model, metadata, num_ctx=2048), needed=3 * GIB)
    with pytest.raises(LoadFailed, match=r"requires more memory \(3\.0 GiB\) than is available \(1\.5 GiB\)") as caught:
        check_fits(placement, FreeMemory(1024 * MIB, (GpuMemory("CUDA0", 512 * MIB, GIB),)))
    assert "num_ctx below 2048" in caught.value.hint
    check_fits(placement, FreeMemory(2 * GIB, (GpuMemory("CUDA0", GIB, GIB),)))


def test_memory_is_summed_over_the_gpus_and_what_is_the_hosts_own_counts_once() -> None:
    free = FreeMemory(10, (GpuMemory("CUDA0", 3, 8), GpuMemory("CUDA1", 4, 8)))
    assert (free.device, free.device_total, free.devices, free.usable) == (7, 16, 2, 17)
    assert FreeMemory(10, (GpuMemory("MTL0", 7, 8, unified=True),)).usable == 10


@pytest.mark.parametrize("pooling", ["", "last"])
def test_adapters_are_loaded_and_counted_and_make_another_runner(
    pooling: Literal["", "last"], model: Path, metadata: ModelMetadata, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for size, file in enumerate(files, 1):
        file.write_bytes(bytes(size * MIB))

    def with_adapters(*adapters: Adapter) -> Placement:
        return place([model], metadata, Options(), frozenset(), Settings(), PLENTY, pooling, adapters=adapters)

    plain = with_adapters()
    first, second = (Adapter(str(file)) for file in files)
    both = with_adapters(first, second)
    assert both.spec.adapters == [first, second]
    assert both.needed == plain.needed + 3 * MIB
    assert both.served_by(both.spec)
    others = [(), (first,), (second, first), (first, Adapter(second.path, 0.5))]
    assert not any(both.served_by(with_adapters(*adapters).spec) for adapters in others)


class TestProjectors:
    """`place` with files that give the model eyes or ears."""

    @pytest.fixture
    def eyes(self, tmp_path: Path) -> Path:
        return vision_projector(tmp_path / "eyes.gguf")

    def placed(self, model: Path, metadata: ModelMetadata, *projectors: Path, **options: Any) -> Placement:
        return place(
            [model],
            metadata,
            Options(**options),
            frozenset(options),
            Settings(),
            PLENTY,
            projector_paths=projectors,
        )

    def test_its_bytes_and_room_to_encode_are_counted(self, model: Path, metadata: ModelMetadata, eyes: Path) -> None:
        seeing = self.placed(model, metadata, eyes)
        assert seeing.spec.projector_paths == [str(eyes)]
        memory = projector_memory(read_header(eyes))
        assert memory.weights > 0 < memory.compute
        more = memory.weights + memory.compute
        assert seeing.needed == self.placed(model, metadata).needed + more
        assert self.placed(model, metadata, eyes, eyes).needed == seeing.needed + more

    def test_what_does_not_fit_with_it_is_told_before_the_load(
        self, model: Path, metadata: ModelMetadata, eyes: Path
    ) -> None:
        without, seeing = self.placed(model, metadata), self.placed(model, metadata, eyes)
        room = replace(PLENTY, ram=(without.needed + seeing.needed) // 2)
        check_fits(without, room)
        with pytest.raises(LoadFailed, match="more memory"):
            check_fits(seeing, room)

    @pytest.mark.parametrize(("asked", "got"), [(256, PROJECTOR_CONTEXT), (2048, 2048), (5000, 5000)])
    def test_the_context_has_room_for_an_image(
        self, model: Path, metadata: ModelMetadata, eyes: Path, asked: int, got: int
    ) -> None:
        assert self.placed(model, metadata, eyes, num_ctx=asked).spec.n_ctx == got
        settings = Settings(context_length=asked)
        by_setting = place([model], metadata, Options(), frozenset(), settings, PLENTY, projector_paths=[eyes])
        assert by_setting.spec.n_ctx == got

    def test_no_context_goes_beyond_what_the_model_was_trained_for(
        self, model: Path, metadata: ModelMetadata, eyes: Path
    ) -> None:
        assert self.placed(model, replace(metadata, context_length=512), eyes, num_ctx=100).spec.n_ctx == 512

    def test_another_projector_is_another_runner(self, model: Path, metadata: ModelMetadata, eyes: Path) -> None:
        other = vision_projector(eyes.with_name("other.gguf"), seed=1)
        seeing, blind = self.placed(model, metadata, eyes), self.placed(model, metadata)
        assert seeing.served_by(seeing.spec)
        assert not self.placed(model, metadata, other).served_by(seeing.spec)
        assert not seeing.served_by(blind.spec)
        assert not blind.served_by(seeing.spec)

    @pytest.mark.parametrize(("architecture", "least"), [("llama", 0), ("qwen2vl", 1024), ("qwen3vlmoe", 1024)])
    def test_models_that_need_large_images_get_them(
        self, model: Path, metadata: ModelMetadata, eyes: Path, architecture: str, least: int
    ) -> None:
        seeing = replace(metadata, architecture=architecture)
        assert self.placed(model, seeing, eyes).spec.image_min_tokens == least
        assert self.placed(model, seeing).spec.image_min_tokens == 0
