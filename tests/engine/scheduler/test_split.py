"""Where the layers of a model lie: nothing is lost, nothing lies where it has no room, and GPUs take what they can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.gguf.metadata import ModelMetadata, read_metadata
from ollama_engine.scheduler.estimate import Context, Estimate, Extras, estimate
from ollama_engine.scheduler.split import Room, Split, Wishes, by_parts, split
from tests.support.sized_models import dense, experts

MIB = 1 << 20
CONTEXT = Context(4096, 2, 512, unified=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelMetadata]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "dense": read_metadata(dense(folder / "dense.gguf", vocab=2000)),
        "experts": read_metadata(experts(folder / "experts.gguf", vocab=2000)),
    }


@pytest.fixture
def whole(models: dict[str, ModelMetadata]) -> Estimate:
    return estimate(models["dense"], CONTEXT, Extras())


@pytest.fixture
def mixed(models: dict[str, ModelMetadata]) -> Estimate:
    return estimate(models["experts"], CONTEXT, Extras())


def assert_all_is_somewhere(found: Split, need: Estimate) -> None:
    shares = [found.cpu, *found.gpus.values()]
    assert sum(share.layers for share in shares) == need.memory.layer_count
    assert sum(share.cache for share in shares) == sum(need.cache)
    assert all(share.layers for share in found.gpus.values())
    # On a GPU the embeddings of the tokens are there a second time, as the output layer.
    weights = sum(share.weights for share in shares)
    assert weights == need.memory.weights + (need.memory.tied if found.gpus else 0)


def test_without_a_gpu_all_of_it_lies_in_ram(whole: Estimate) -> None:
    found = split(whole, [])
    assert_all_is_somewhere(found, whole)
    assert not found.gpus
    assert found.size == whole.in_ram


def test_one_gpu_that_has_room_takes_all_layers(whole: Estimate) -> None:
    found = split(whole, [Room("A", 200 * MIB), Room("B", 4096 * MIB)])
    assert {name: share.layers for name, share in found.gpus.items()} == {"B": whole.memory.layer_count}
    assert found.cpu.layers == 0
    assert_all_is_somewhere(found, whole)


def test_two_share_what_none_of_them_has_room_for(whole: Estimate) -> None:
    room = split(whole, [Room("A", 4096 * MIB)]).gpus["A"].size * 4 // 5
    found = split(whole, [Room("A", room), Room("B", room)])
    assert [*found.gpus] == ["A", "B"]
    assert found.cpu.layers == 0
    assert_all_is_somewhere(found, whole)


def test_what_has_no_room_stays_in_ram(whole: Estimate) -> None:
    room = split(whole, [Room("A", 4096 * MIB)]).gpus["A"].size
    found = split(whole, [Room("A", room // 2)])
    assert 0 < found.gpu_layers < whole.memory.layer_count
    assert found.gpus["A"].size <= room // 2
    assert found.cpu.layers == whole.memory.layer_count - found.gpu_layers
    assert_all_is_somewhere(found, whole)


def test_experts_stay_in_ram_before_layers_do(mixed: Estimate) -> None:
    room = split(mixed, [Room("A", 4096 * MIB)]).gpus["A"].size * 3 // 4
    found = split(mixed, [Room("A", room)])
    assert found.gpu_layers == mixed.memory.layer_count
    assert 0 < found.cpu_moe < len(mixed.memory.layers)
    assert found.gpus["A"].size <= room
    assert_all_is_somewhere(found, mixed)


def test_what_was_asked_for_is_done_whether_it_fits_or_not(whole: Estimate, mixed: Estimate) -> None:
    found = split(whole, [Room("A", 10 * MIB)], Wishes(gpu_layers=5))
    assert (found.gpu_layers, found.fits) == (5, False)
    found = split(mixed, [Room("A", 4096 * MIB)], Wishes(cpu_moe=-1))
    assert found.cpu_moe == len(mixed.memory.layers)
    assert found.cpu.weights > sum(layer.experts for layer in mixed.memory.layers)
    found = split(whole, [Room("A", 4096 * MIB), Room("B", 4096 * MIB)], Wishes(parts=(3.0, 1.0)))
    assert found.gpus["A"].layers == pytest.approx(3 * found.gpus["B"].layers, abs=2)
    found = split(whole, [Room("A", 4096 * MIB)], Wishes(kv_offload=False))
    assert found.gpus["A"].cache == 0
    assert found.cpu.cache == sum(whole.cache)
    assert len(split(whole, [Room("A", 4096 * MIB), Room("B", 4096 * MIB)], Wishes(spread=True)).gpus) >= 1


@given(rooms=st.lists(st.integers(0, 700), max_size=4), moe=st.booleans(), layers=st.none() | st.integers(0, 20))
def test_nothing_is_lost_and_no_gpu_is_overfull(
    models: dict[str, ModelMetadata], rooms: list[int], moe: bool, layers: int | None
) -> None:
    need = estimate(models["experts" if moe else "dense"], CONTEXT, Extras())
    sized = [Room(f"G{number}", size * MIB) for number, size in enumerate(rooms)]
    found = split(need, sized, Wishes(gpu_layers=layers))
    assert_all_is_somewhere(found, need)
    over = [room for room in sized if room.name in found.gpus and found.gpus[room.name].size > room.size]
    assert found.fits == (not over)
    if layers is None:
        assert found.fits
        larger = split(need, [Room(room.name, room.size * 2) for room in sized], Wishes())
        assert larger.gpu_layers >= found.gpu_layers
    elif rooms:
        assert found.gpu_layers == min(layers, need.memory.layer_count)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=4), st.integers(0, 100))
def test_layers_are_spread_in_proportion(parts: list[float], count: int) -> None:
    taken = by_parts(parts, count)
    assert sum(taken) == count
    if sum(parts) > 1:
        assert all(abs(n - count * part / sum(parts)) <= 2 for n, part in zip(taken, parts, strict=True))
