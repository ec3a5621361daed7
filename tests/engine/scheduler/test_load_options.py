"""What was asked of a load is in its spec, and a runner that is loaded otherwise is not used for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf.metadata import ModelMetadata, read_metadata
from ollama_engine.options import OPTION_KINDS, Options, asked_for, merge_options
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.load_options import FIELDS
from ollama_engine.scheduler.placement import GIB, FreeMemory, Placement, place
from ollama_engine.settings import Settings
from tests.support.gguf_models import TINY, random_model

OTHERS: dict[str, Any] = {
    "num_batch": 64,
    "num_ubatch": 32,
    "num_gpu": 1,
    "main_gpu": 0,
    "devices": ["CPU"],
    "split_mode": "row",
    "tensor_split": [2, 1],
    "num_cpu_moe": "all",
    "cache_type_k": "q8_0",
    "cache_type_v": "q4_0",
    "kv_offload": False,
    "flash_attention": "on",
    "use_mmap": False,
    "use_mlock": True,
    "numa": "numactl",
    "num_thread": 3,
    "num_thread_batch": 2,
}
"""A value of each option that is not the default."""
USES = [(name, use) for name in OTHERS for use in ("", "last") if (name, use) != ("num_batch", "last")]
"""An embedder's batch is ours to choose."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("models") / "m.gguf", **TINY)


@pytest.fixture(scope="module")
def metadata(model: Path) -> ModelMetadata:
    return read_metadata(model)


@pytest.fixture
def placed(model: Path, metadata: ModelMetadata) -> Any:
    def placed(*layers: dict[str, Any], pooling: Any = "") -> Placement:
        options = merge_options(*layers)
        given = asked_for(options, *layers)
        return place([model], metadata, options, given, Settings(), FreeMemory(64 * GIB), pooling)

    return placed


def test_every_option_of_a_load_is_tried_here() -> None:
    assert set(FIELDS) == set(OTHERS)
    assert set(FIELDS) < set(Options.__struct_fields__) < set(OPTION_KINDS)


@pytest.mark.parametrize(("name", "pooling"), USES)
def test_it_is_in_the_spec_and_another_value_needs_another_runner(name: str, pooling: str, placed: Any) -> None:
    plain, other = placed(pooling=pooling), placed({name: OTHERS[name]}, pooling=pooling)
    field = FIELDS[name]
    assert getattr(other.spec, field) != getattr(plain.spec, field)
    assert replace(other.spec, **{field: getattr(plain.spec, field)}) == plain.spec
    assert (field in plain.chosen, field in other.chosen) == (True, False)
    assert other.served_by(other.spec)
    assert not other.served_by(plain.spec)
    assert plain.served_by(other.spec)  # who did not ask takes what is there


def test_a_request_that_leaves_it_to_us_takes_the_runner_of_one_that_did_not(placed: Any) -> None:
    model = {"num_gpu": 0, "num_thread": 1}
    loaded = placed(model).spec
    assert placed(model, {"num_gpu": -1, "num_thread": 0}).served_by(loaded)
    assert not placed(model, {"num_gpu": 5}).served_by(loaded)
    assert not placed(model, {"num_thread": 2}).served_by(loaded)


def test_quantized_values_need_flash_attention(placed: Any) -> None:
    for off in ({"flash_attention": "off"}, {"flash_attention": False}):
        with pytest.raises(InvalidRequest, match=r"q8_0 values while flash_attention is off") as caught:
            placed({"kv_cache_type": "q8_0"}, off)
        assert "cache_type_v" in caught.value.hint
        assert placed({"cache_type_k": "q8_0"}, off).spec.flash_attention is False
    assert placed({"kv_cache_type": "q8_0"}).spec.flash_attention is None
    assert isinstance(placed({"kv_cache_type": "q8_0"}, {"flash_attention": True}).spec, LoadSpec)
