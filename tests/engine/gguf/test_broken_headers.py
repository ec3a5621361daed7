"""Every way a header can lie gets an error that names the file and the lie."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidGGUF, NotFound
from ollama_engine.gguf import model_info, read_header, read_metadata
from tests.support import gguf_bytes as b

ARCHITECTURE = b.text("general.architecture", "llama")
HUGE = 1 << 60

BROKEN = {
    "no bytes": (b"", "fewer than 4 bytes"),
    "four bytes": (b"GGUF", "the file ends inside the version"),
    "another format": (b"PK\3\4" + bytes(60), "it starts with 50 4b"),
    "ggml": (b"lmgg" + bytes(60), "GGML file"),
    "byte-swapped magic": (b.gguf(magic=b"FUGG"), "big-endian"),
    "big-endian version": (b"GGUF" + b"\0\0\0\3" + bytes(60), "big-endian"),
    "version 0": (b.gguf(version=0), "version 0"),
    "version 1": (b.gguf(version=1), "version 1"),
    "version 4": (b.gguf(version=4), "version 4"),
    "counts missing": (b.gguf()[:12], "the file ends inside the tensor count"),
    "half a count": (b.gguf()[:20], "the file ends inside the metadata count"),
    "more keys than bytes": (b.gguf(pair_count=HUGE), f"claims {HUGE} metadata keys"),
    "more tensors than bytes": (b.gguf(tensor_count=HUGE), f"claims {HUGE} tensors"),
    "a key too many": (
        b.gguf([ARCHITECTURE, b.text("general.name", "long enough to pass")], pair_count=3),
        "metadata key 3 of 3",
    ),
    "a huge key": (b.gguf([b.string("k", length=HUGE) + bytes(99)]), f"claims to be {HUGE} bytes long"),
    "an empty key": (b.gguf([b.number("", 1)]), "metadata key 1 of 1 is empty"),
    "a key that is no text": (b.gguf([b.number("", 1).replace(b.u64(0), b.string(b"\xff"))]), "not UTF-8"),
    "a key twice": (b.gguf([ARCHITECTURE, ARCHITECTURE]), "general.architecture appears twice"),
    "no value type": (b.gguf([b.string("general.name.long")]), "the type of general.name.long"),
    "an unknown value type": (b.gguf([b.pair("k", 13, bytes(32))]), "k has the unknown value type 13"),
    "a number cut short": (b.gguf([b.pair("seventeen", b.U64, bytes(7))]), "the file ends inside seventeen"),
    "a string of 2^60": (b.gguf([b.pair("k", b.STRING, b.string("", length=HUGE))]), f"be {HUGE} bytes"),
    "a string cut short": (
        b.gguf([b.pair("k", b.STRING, b.string("abc", length=4))]),
        "the file ends inside k (4 bytes wanted, 3 left)",
    ),
    "a boolean of 2": (b.gguf([b.pair("maybe", b.BOOL, b"\2")]), "maybe is a boolean with the value 2"),
    "an array of arrays": (b.gguf([b.array("k", b.ARRAY, bytes(64), 1)]), "k is an array of arrays"),
    "an unknown element type": (b.gguf([b.array("k", 99, bytes(64), 1)]), "k has the unknown element type 99"),
    "2^60 numbers": (b.gguf([b.array("k", b.U64, bytes(64), HUGE)]), "the file ends inside k"),
    "2^60 strings": (b.gguf([b.array("k", b.STRING, bytes(64), HUGE)]), "the file ends inside k"),
    "a token of 2^64 - 1": (
        b.gguf([b.array("k", b.STRING, b.u64(2**64 - 1) + bytes(64), 3)]),
        "the file ends inside k",
    ),
    "a last token past the end": (
        b.gguf([b.array("k", b.STRING, b.string("a") + b.string("b", length=2), 2)]),
        "the file ends inside k",
    ),
    "alignment zero": (b.gguf([b.number("general.alignment", 0)]), "general.alignment is 0"),
    "alignment 48": (b.gguf([b.number("general.alignment", 48)]), "general.alignment is 48"),
    "alignment as text": (b.gguf([b.text("general.alignment", "32")]), "general.alignment should be"),
    "alignment as an array": (
        b.gguf([b.array("general.alignment", b.U32, b.u32(32), 1)]),
        "general.alignment should be",
    ),
    "alignment of 2^31": (
        b.gguf([b.number("general.alignment", 1 << 31)], [b.tensor()], data=128),
        "tensor w ends at byte",
    ),
    "a tensor table cut short": (b.gguf([], [b.tensor()[:-1]]), "the file ends inside tensor w"),
    "less than one tensor": (b.gguf([], [b.tensor()[:20]]), "claims 1 tensors"),
    "a second tensor cut short": (
        b.gguf([], [b.tensor("a" * 40), b.tensor("second")[:-8]]),
        "the file ends inside tensor second",
    ),
    "a huge tensor name": (b.gguf([], [b.string("w", length=70000) + bytes(99)]), "70000 bytes long"),
    "a nameless tensor": (b.gguf([], [b.tensor("")], data=128), "the name of tensor 1 of 1 is empty"),
    "a tensor twice": (b.gguf([], [b.tensor(), b.tensor(offset=128)], data=256), "w appears twice"),
    "no dimension": (b.gguf([], [b.tensor(shape=())], data=128), "w has 0 dimensions"),
    "five dimensions": (b.gguf([], [b.tensor(shape=(1,) * 5)], data=128), "w has 5 dimensions"),
    "2^32 - 1 dimensions": (b.gguf([], [b.tensor(dimensions=2**32 - 1)], data=128), "4294967295 dimensions"),
    "a dimension of zero": (b.gguf([], [b.tensor(shape=(32, 0))], data=128), "dimension of zero: [32, 0]"),
    "elements beyond counting": (
        b.gguf([], [b.tensor(shape=(1 << 32, 1 << 32))], data=128),
        "more elements than can be counted",
    ),
    "an unknown tensor type": (b.gguf([], [b.tensor(kind=77)], data=128), "w has the unknown type 77"),
    "a removed tensor type": (b.gguf([], [b.tensor(kind=31)], data=128), "type 31, which llama.cpp removed"),
    "half a block": (b.gguf([], [b.tensor(shape=(33,), kind=8)], data=128), "not a multiple of Q8_0's block"),
    "a crooked offset": (b.gguf([], [b.tensor(offset=8)], data=256), "starts at 8, not aligned to 32"),
    "an offset past the end": (b.gguf([], [b.tensor(offset=1 << 40)], data=128), "tensor w ends at byte"),
    "an offset of 2^64 - 32": (b.gguf([], [b.tensor(offset=2**64 - 32)], data=128), "tensor w ends at byte"),
    "data cut short": (b.gguf([], [b.tensor()], data=127), "tensor w ends at byte"),
    "no data": (b.gguf([], [b.tensor()]), "tensor w ends at byte"),
    "tensors on top of each other": (
        b.gguf([], [b.tensor("a"), b.tensor("b", offset=96)], data=256),
        "tensor b overlaps a",
    ),
}


@pytest.mark.parametrize(("content", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_header_is_named(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with pytest.raises(InvalidGGUF) as caught:
        read_header(path)
    assert caught.value.message.startswith("broken.gguf")
    assert fault in caught.value.message
    assert caught.value.hint


WRONG_KINDS = {
    "no architecture": ([], "has no general.architecture"),
    "architecture as a number": ([b.number("general.architecture", 1)], "general.architecture should be text"),
    "architecture as an array": (
        [b.array("general.architecture", b.U8, b"\1", 1)],
        "general.architecture should be text",
    ),
    "name as a number": ([ARCHITECTURE, b.number("general.name", 1)], "general.name should be text"),
    "template as a number": ([ARCHITECTURE, b.number("tokenizer.chat_template", 1)], "chat_template should be"),
    "context as text": ([ARCHITECTURE, b.text("llama.context_length", "4096")], "llama.context_length should be"),
    "negative blocks": (
        [ARCHITECTURE, b.pair("llama.block_count", b.I32, b"\xff" * 4)],
        "llama.block_count should be",
    ),
    "blocks as a boolean": ([ARCHITECTURE, b.pair("llama.block_count", b.BOOL, b"\1")], "block_count should be"),
    "2^32 - 1 blocks": ([ARCHITECTURE, b.number("llama.block_count", 2**32 - 1)], "no model has so many layers"),
    "heads as texts": (
        [ARCHITECTURE, b.array("llama.attention.head_count", b.STRING, b.string("8"), 1)],
        "llama.attention.head_count should hold whole numbers",
    ),
    "too many heads": (
        [ARCHITECTURE, b.array("llama.attention.head_count_kv", b.U8, bytes(70000), 70000)],
        "no model has so many layers",
    ),
    "add_bos as a number": ([ARCHITECTURE, b.number("tokenizer.ggml.add_bos_token", 1)], "should be true or false"),
    "tokens as a number": (
        [ARCHITECTURE, b.number("tokenizer.ggml.bos_token_id", 0), b.number("tokenizer.ggml.tokens", 1)],
        "tokenizer.ggml.tokens should be a list",
    ),
}


@pytest.mark.parametrize(("pairs", "fault"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_metadata_of_the_wrong_kind_is_named(tmp_path: Path, pairs: list[bytes], fault: str) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(b.gguf(pairs))
    with pytest.raises(InvalidGGUF, match=r"^odd\.gguf: ") as caught:
        read_metadata(path)
    assert fault in caught.value.message


def test_every_prefix_of_a_model_is_refused(tmp_path: Path) -> None:
    whole = b.gguf([ARCHITECTURE, b.tokens(["a", "b"])], [b.tensor()], data=128)
    path = tmp_path / "cut.gguf"
    path.write_bytes(whole)
    read_header(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidGGUF, match=r"^cut\.gguf"):
            read_header(path)


@pytest.mark.parametrize("case", ["2^60 strings", "a string of 2^60", "2^60 numbers", "more keys than bytes"])
def test_a_claimed_size_allocates_nothing(tmp_path: Path, case: str) -> None:
    path = tmp_path / "greedy.gguf"
    path.write_bytes(BROKEN[case][0])
    tracemalloc.start()
    try:
        with pytest.raises(InvalidGGUF):
            read_header(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_header_beyond_any_model_is_refused_in_a_file_that_has_room_for_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(b.gguf([b.array("k", b.U8, b"", 300 << 20)]))
    os.truncate(path, 400 << 20)
    with pytest.raises(InvalidGGUF, match="k makes the header larger than 256 MiB"):
        read_header(path)


def test_a_list_too_long_for_memory_is_skipped_but_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.gguf"
    path.write_bytes(b.gguf([b.array("k", b.U8, b"", 20 << 20)]))
    os.truncate(path, 30 << 20)
    header = read_header(path)
    assert model_info(header)["k"] == []
    assert header.array("k", limit=3) == [0, 0, 0]
    with pytest.raises(InvalidGGUF, match=r"sparse\.gguf: k has 20971520 values, too many"):
        header.array("k")


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.gguf does not exist"):
        read_header(tmp_path / "gone.gguf")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_a_folder_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(InvalidGGUF, match="is not a file"):
            read_header(path)


def test_a_file_cut_after_the_header_was_read_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "shrinks.gguf"
    path.write_bytes(b.gguf([b.tokens(["a", "b", "c"])]))
    header = read_header(path)
    os.truncate(path, 30)
    assert path.stat().st_size == 30
    with pytest.raises(InvalidGGUF, match="the file ends inside"):
        header.token(2)
    with pytest.raises(InvalidGGUF, match="the file ends inside"):
        header.array("tokenizer.ggml.tokens")
