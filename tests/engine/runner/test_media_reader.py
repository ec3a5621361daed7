"""The threads that read and encode images, with a projector whose encoder waits until it is told to go on."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.runner import llama, media, media_cells
from ollama_engine.runner.batcher import Batcher
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.media import MediaReader, MediaRun
from ollama_engine.runner.protocol import Done, Generate, LoadSpec
from tests.engine.runner.stepping import GREEDY, load
from tests.support.media_models import picture

DEADLINE = 30.0


class Chunk:
    n_cells = n_positions = 4
    is_causal = True

    def __init__(self, projector: Slow) -> None:
        self._projector = projector

    def encode(self) -> np.ndarray:
        self._projector.begun.release()
        assert self._projector.go_on.wait(DEADLINE)
        self._projector.encoded += 1
        return np.zeros((4, 8), np.float32)

    def forget_input(self) -> None:
        pass


class Slow:
    """A projector that sees."""

    sees, hears, uses_mrope = True, False, False

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Semaphore(0), threading.Event()
        self.read = self.encoded = 0

    def read_picture(self, pixels: Any) -> list[Chunk]:
        self.read += 1
        return [Chunk(self)]


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go_on.set()  # whoever still waits may end


def run_of(reader: MediaReader, data: bytes) -> MediaRun:
    (run,) = reader.read([1, -1, 2], [data]).result(DEADLINE).runs.values()
    return run


def test_who_leaves_takes_what_nobody_else_waits_for_out_of_the_queue(slow: Slow) -> None:
    reader = MediaReader([slow])  # pyright: ignore[reportArgumentType]
    one, two, three = (run_of(reader, picture(n)) for n in range(3))
    first = reader.want(one)
    assert slow.begun.acquire(timeout=DEADLINE)
    left, shared = reader.want(two), reader.want(three)
    assert reader.want(three) is shared
    reader.release(two)
    reader.release(three)  # one of the two who want it
    assert left.cancelled()
    assert not shared.cancelled()
    slow.go_on.set()
    assert first.result(DEADLINE).shape == shared.result(DEADLINE).shape == (4, 8)
    assert slow.encoded == 2
    assert reader.want(two).result(DEADLINE).shape == (4, 8)  # it can be asked for again


def test_the_same_file_is_read_and_encoded_once(slow: Slow) -> None:
    slow.go_on.set()
    reader = MediaReader([slow])  # pyright: ignore[reportArgumentType]
    one, again = run_of(reader, picture(1)), run_of(reader, picture(1))
    assert one is again
    for _ in range(2):
        reader.want(one).result(DEADLINE)
        reader.release(one)
    assert (slow.read, slow.encoded) == (1, 1)


def test_what_is_kept_is_bounded_the_oldest_goes(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "KEPT_BYTES", 1000)  # one that is read (768) and the embeddings (128) of one more
    slow.go_on.set()
    reader = MediaReader([slow])  # pyright: ignore[reportArgumentType]
    for n in range(4):
        run = run_of(reader, picture(n, (8, 8)))
        reader.want(run).result(DEADLINE)
        reader.release(run)
    assert slow.read == 4
    run_of(reader, picture(3, (8, 8)))
    assert slow.read == 4  # still there
    run_of(reader, picture(0, (8, 8)))
    assert slow.read == 5  # gone, and read again


def test_text_is_answered_and_a_request_cancelled_while_an_image_is_encoded(slow: Slow, random: Path) -> None:
    context = LlamaContext(load(random), LoadSpec([], 512, n_seq=2, n_threads=1))
    batcher = Batcher(context, MediaReader([slow]))  # pyright: ignore[reportArgumentType]
    done: dict[int, Done] = {}

    def step() -> None:
        batcher.wait_for_work()
        step, failures = batcher.step()
        assert not failures
        done.update({one.id: one for one in step.done})

    assert batcher.add(Generate(1, [1, -1, 2], media=[picture()], sampling=GREEDY)) is None
    while not slow.begun.acquire(blocking=False):
        step()
    assert batcher.add(Generate(2, [5, 6, 7], sampling=GREEDY, max_tokens=20)) is None
    while 2 not in done:
        step()
    assert (done.keys(), slow.encoded) == ({2}, 0)
    batcher.cancel(1)
    step()
    assert (done[1].reason, batcher.slots_busy, slow.encoded) == ("canceled", 0, 0)
    llama.C.llama_free(context.handle)


@given(st.lists(st.one_of(st.integers(0, 9), st.tuples(st.integers(1, 30), st.integers(1, 30))), max_size=8))
def test_cuts_go_around_images_and_positions_add_up(parts: list[int | tuple[int, int]]) -> None:
    cells, ends, at = array("q"), [0], [0]
    for number, part in enumerate(parts):
        n, advance = part if isinstance(part, tuple) else (1, 1)
        cells.extend(media_cells.run_cells(b"digest", number, n, advance) if isinstance(part, tuple) else [part])
        ends.append(ends[-1] + n)
        at.append(at[-1] + advance)
    for end, position in zip(ends, at, strict=True):
        assert media_cells.positions(cells, end) == position
    for n in range(len(cells) + 1):
        assert media_cells.whole(cells, n) == max(end for end in ends if end <= n)
        assert media_cells.whole_after(cells, n) == min(end for end in ends if end >= n)
