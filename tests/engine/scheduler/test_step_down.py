"""A load that lacks memory is tried once more with less, and everybody who uses it is told so."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest, LoadFailed
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.scheduler.placement import Placement
from ollama_engine.scheduler.step_down import difference, load_or_step_down, smaller_spec

NO_MEMORY = LoadFailed("unable to load model: failed to allocate CPU buffer", out_of_memory=True)


def spec(**fields: Any) -> LoadSpec:
    return LoadSpec([], **{"n_ctx": 4096, **fields})


class TestWhatIsGivenUp:
    @pytest.mark.parametrize(
        ("n_ctx", "smaller"),
        [(262_144, 32_768), (32_769, 32_768), (32_768, 4096), (4097, 4096), (4096, 1024), (600, 512)],
    )
    def test_context_first_and_with_it_the_requests_at_a_time(self, n_ctx: int, smaller: int) -> None:
        assert smaller_spec(spec(n_ctx=n_ctx), 0) == spec(n_ctx=smaller)
        if n_ctx > 4096:
            assert smaller_spec(spec(n_ctx=n_ctx, n_seq=4, n_gpu_layers=20), 20) == spec(n_ctx=smaller, n_gpu_layers=20)

    def test_a_short_context_is_kept_for_one_request_at_a_time(self) -> None:
        assert smaller_spec(spec(n_seq=4), 20) == spec(n_seq=1)

    def test_layers_where_the_context_is_short(self) -> None:
        assert smaller_spec(spec(n_gpu_layers=33), 33) == spec(n_gpu_layers=24)
        assert smaller_spec(spec(), 33) == spec(n_gpu_layers=24)  # all of 33
        assert smaller_spec(spec(n_gpu_layers=1), 1) == spec(n_gpu_layers=0)
        assert smaller_spec(spec(n_ctx=1024, n_gpu_layers=0), 0) == spec(n_ctx=512, n_gpu_layers=0)

    def test_nothing_where_nothing_is_left(self) -> None:
        assert smaller_spec(spec(n_ctx=512, n_gpu_layers=0), 0) is None
        assert smaller_spec(spec(n_ctx=2048, projector_paths=["eyes"]), 0) is None

    def test_a_batch_is_no_longer_than_the_context(self) -> None:
        assert smaller_spec(spec(n_ctx=8192, n_batch=8192), 0) == spec(n_ctx=4096, n_batch=4096)
        embedder = smaller_spec(spec(n_ctx=8192, n_batch=8192, n_seq=64, pooling="mean"), 0)
        assert embedder == spec(n_ctx=4096, n_batch=4096, n_seq=64, pooling="mean")

    def test_gpu_layers_count_only_where_there_is_a_gpu(self) -> None:
        on_gpu = Placement(spec(), 10, frozenset(), {"CPU": 1, "CUDA0": 9}, layers=33)
        smaller = on_gpu.smaller()
        assert smaller is not None
        assert (smaller.spec.n_gpu_layers, smaller.spec.n_ctx) == (24, 4096)
        on_cpu = Placement(spec(), 10, frozenset(), {"CPU": 10}, layers=33).smaller()
        assert on_cpu is not None
        assert (on_cpu.spec.n_gpu_layers, on_cpu.spec.n_ctx) == (-1, 1024)

    def test_it_is_said_in_words(self) -> None:
        asked = spec(n_ctx=65_536, n_seq=4)
        got = spec(n_ctx=32_768)
        assert difference(asked, got) == (
            "a context of 32768 tokens instead of 65536 and one request at a time instead of 4"
        )
        assert difference(spec(), spec(n_gpu_layers=24)) == "24 layers on the GPU instead of all"


class Loads:
    """Answers loads in turn, with an error or a runner."""

    def __init__(self, *ends: Exception | str) -> None:
        self.specs: list[LoadSpec] = []
        self.told: list[tuple[int, str]] = []
        self._ends = iter(ends)

    async def start(self, spec: LoadSpec) -> Any:
        self.specs.append(spec)
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return end

    def on_smaller(self, placement: Placement, notice: str) -> None:
        self.told.append((placement.spec.n_ctx, notice))

    async def load(self, n_ctx: int = 8192) -> Any:
        placement = Placement(spec(n_ctx=n_ctx), 10, frozenset())
        return await load_or_step_down(placement, self.start, self.on_smaller)


class TestTheSecondTry:
    async def test_there_is_none_where_the_first_succeeds(self) -> None:
        loads = Loads("runner")
        assert await loads.load() == "runner"
        assert (len(loads.specs), loads.told) == (1, [])

    async def test_it_has_less_and_is_told_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        loads = Loads(NO_MEMORY, "runner")
        with caplog.at_level(logging.WARNING):
            assert await loads.load() == "runner"
        assert [one.n_ctx for one in loads.specs] == [8192, 4096]
        notice = "not enough memory: loaded with a context of 4096 tokens instead of 8192"
        assert loads.told == [(4096, notice)]
        assert notice in caplog.text
        assert NO_MEMORY.message in caplog.text

    @pytest.mark.parametrize("error", [LoadFailed("unable to load model: broken"), InvalidRequest("no such device")])
    async def test_other_failures_are_not_tried_again(self, error: Exception) -> None:
        loads = Loads(error)
        with pytest.raises(type(error)) as caught:
            await loads.load()
        assert caught.value is error
        assert loads.told == []

    async def test_there_is_no_third(self) -> None:
        loads = Loads(NO_MEMORY, LoadFailed("unable to load model: still too large", out_of_memory=True))
        with pytest.raises(
            LoadFailed, match=r"still too large; it was tried twice, .* context of 4096 .* of 8192"
        ) as caught:
            await loads.load()
        assert caught.value.out_of_memory
        assert "num_ctx below 4096" in caught.value.hint
        assert len(loads.specs) == 2

    async def test_one_that_fails_otherwise_says_what_to_do_about_that(self) -> None:
        loads = Loads(NO_MEMORY, LoadFailed("unable to load model: broken", hint="Pull it again."))
        with pytest.raises(LoadFailed, match="broken; it was tried twice") as caught:
            await loads.load()
        assert caught.value.hint == "Pull it again."
        assert not caught.value.out_of_memory

    async def test_nothing_is_tried_with_nothing_to_give_up(self) -> None:
        loads = Loads(NO_MEMORY)
        with pytest.raises(LoadFailed) as caught:
            await loads.load(n_ctx=512)
        assert caught.value is NO_MEMORY
