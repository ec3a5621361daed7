"""No bytes make the reader do anything but answer or say `InvalidGGUF`."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_engine.errors import InvalidGGUF
from ollama_engine.gguf import model_info, model_metadata, read_header, tensor_infos
from ollama_engine.gguf.projector_memory import projector_memory
from ollama_engine.scheduler.estimate import Context, Extras, estimate
from tests.support import gguf_bytes as b

VALID = b.gguf(
    [
        b.text("general.architecture", "llama"),
        b.text("general.name", "fuzzed"),
        b.number("general.alignment", 32),
        b.number("general.file_type", 7),
        b.number("llama.block_count", 2),
        b.number("llama.embedding_length", 64),
        b.array("llama.attention.head_count", b.U32, b.u32(4) * 2, 2),
        b.pair("llama.rope.freq_base", b.F32, struct.pack("<f", 1e4)),
        b.pair("tokenizer.ggml.add_bos_token", b.BOOL, b"\1"),
        b.number("tokenizer.ggml.bos_token_id", 1),
        b.tokens(["<unk>", "<s>", "</s>", "word"]),
        b.text("tokenizer.chat_template", "{{ tools }}"),
    ],
    [b.tensor("token_embd.weight", (64, 4), kind=8), b.tensor("norm", (64,), offset=288)],
    data=544,
)
INTERESTING = [0, 1, 2, 8, 9, 13, 31, 32, 255, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]


def digest(path: Path, content: bytes) -> None:
    """All that is ever done with a header; only InvalidGGUF may come out."""
    path.write_bytes(content)
    with suppress(InvalidGGUF):
        header = read_header(path)
        for index in (0, 3, 2**40):
            with suppress(InvalidGGUF):
                header.token(index)
        with suppress(InvalidGGUF):
            estimate(model_metadata(header), Context(4096, 2, 512), Extras())
        with suppress(InvalidGGUF):
            projector_memory(header)
        msgspec.json.encode([model_info(header), model_info(header, verbose=True), tensor_infos(header)])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "fuzz.gguf"


fuzz = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_seed_of_the_fuzz_is_valid(path: Path) -> None:
    path.write_bytes(VALID)
    metadata = model_metadata(read_header(path))
    assert (metadata.name, metadata.bos_token, metadata.parameter_count) == ("fuzzed", "<s>", 320)


@fuzz
@given(content=st.binary(max_size=300))
def test_random_bytes(path: Path, content: bytes) -> None:
    digest(path, content)


@fuzz
@given(
    version=st.sampled_from([2, 3]),
    counts=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    rest=st.binary(max_size=400),
)
def test_random_bytes_behind_a_good_start(path: Path, version: int, counts: tuple[int, int], rest: bytes) -> None:
    digest(path, b"GGUF" + b.u32(version) + b.u64(counts[0]) + b.u64(counts[1]) + rest)


@fuzz
@given(changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes(path: Path, changes: list[tuple[int, int]]) -> None:
    content = bytearray(VALID)
    for at, value in changes:
        content[at] = value
    digest(path, bytes(content))


@fuzz
@given(at=st.integers(0, len(VALID) - 8), value=st.sampled_from(INTERESTING), wide=st.booleans())
def test_telling_numbers_anywhere(path: Path, at: int, value: int, wide: bool) -> None:
    number = b.u64(value) if wide else b.u32(value & 0xFFFFFFFF)
    digest(path, VALID[:at] + number + VALID[at + len(number) :])


@fuzz
@given(at=st.integers(0, len(VALID)), gone=st.integers(0, 40), new=st.binary(max_size=40))
def test_pieces_cut_out_and_put_in(path: Path, at: int, gone: int, new: bytes) -> None:
    digest(path, VALID[:at] + new + VALID[at + gone :])
