"""Good headers are read as they are, and as the `gguf` package reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType

from ollama_engine.gguf import ArrayRef, Header, read_header
from ollama_engine.gguf.cursor import MARK_EVERY, WINDOW
from tests.support import gguf_bytes as b
from tests.support.gguf_models import TINY, random_model, scripted_model

SHARED_MODELS = Path(__file__).parents[4] / "shared" / "models"


def write(path: Path, content: bytes) -> Header:
    path.write_bytes(content)
    return read_header(path)


@pytest.mark.parametrize("version", [2, 3])
def test_every_type_of_value_is_read(tmp_path: Path, version: int) -> None:
    pairs = [
        b.pair("u8", b.U8, b"\xff"),
        b.pair("i8", b.I8, b"\xff"),
        b.pair("u16", b.U16, b"\xff\xff"),
        b.pair("i16", b.I16, b"\xfe\xff"),
        b.pair("u32", b.U32, b"\xff" * 4),
        b.pair("i32", b.I32, b"\xfd" + b"\xff" * 3),
        b.pair("f32", b.F32, struct.pack("<f", 1e-5)),
        b.pair("no", b.BOOL, b"\0"),
        b.pair("yes", b.BOOL, b"\1"),
        b.text("text", "größe"),
        b.pair("u64", b.U64, b"\xff" * 8),
        b.pair("i64", b.I64, b"\xff" * 8),
        b.pair("f64", b.F64, struct.pack("<d", 0.1)),
    ]
    header = write(tmp_path / "types.gguf", b.gguf(pairs, version=version))
    assert header.version == version
    expected = {
        "u8": 255,
        "i8": -1,
        "u16": 65535,
        "i16": -2,
        "u32": 2**32 - 1,
        "i32": -3,
        "f32": 1e-05,
        "no": False,
        "yes": True,
        "text": "größe",
        "u64": 2**64 - 1,
        "i64": -1,
        "f64": 0.1,
    }
    assert list(header.metadata.items()) == list(expected.items())
    assert header.metadata["yes"] is True


def test_arrays_are_read_when_asked_for(tmp_path: Path) -> None:
    pairs = [
        b.array("numbers", b.I16, struct.pack("<4h", 1, -2, 3, -4), 4),
        b.array("flags", b.BOOL, b"\1\0", 2),
        b.array("empty", b.STRING, b"", 0),
        b.text("after", "the arrays"),
    ]
    header = write(tmp_path / "arrays.gguf", b.gguf(pairs))
    ref = header.metadata["numbers"]
    assert isinstance(ref, ArrayRef)
    assert (ref.type, ref.count) == ("i16", 4)
    assert header.array("numbers") == [1, -2, 3, -4]
    assert header.array("numbers", limit=2) == [1, -2]
    assert header.array("flags") == [True, False]
    assert header.array("empty") == []
    assert header.array("missing") == []
    assert header.text("after") == "the arrays"


def test_a_token_is_found_anywhere_in_a_vocabulary_larger_than_the_window(tmp_path: Path) -> None:
    vocabulary = [f"token {index} " + "x" * (index % 300) for index in range(3 * MARK_EVERY + 7)]
    header = write(tmp_path / "vocab.gguf", b.gguf([b.tokens(vocabulary), b.text("after", "it")]))
    assert header.file_size > WINDOW
    assert header.text("after") == "it"
    wanted = {0, 1, MARK_EVERY - 1, MARK_EVERY, MARK_EVERY + 1, 3 * MARK_EVERY, len(vocabulary) - 1}
    assert {index: header.token(index) for index in wanted} == {index: vocabulary[index] for index in wanted}
    assert header.token(len(vocabulary)) is None
    assert header.token(-1) is None
    assert header.array("tokenizer.ggml.tokens") == vocabulary


def test_strings_larger_than_the_window_are_stepped_over(tmp_path: Path) -> None:
    vocabulary = ["small", "x" * (WINDOW + 5), "y" * (2 * WINDOW), "last"]
    header = write(tmp_path / "long.gguf", b.gguf([b.tokens(vocabulary), b.text("after", "it")]))
    assert [header.token(index) for index in range(4)] == vocabulary
    assert header.text("after") == "it"


def test_half_characters_in_values_do_not_hide_the_model(tmp_path: Path) -> None:
    header = write(tmp_path / "half.gguf", b.gguf([b.text("general.name", b"caf\xc3"), b.tokens([b"\xe4\xb8"])]))
    assert header.text("general.name") == "caf\ufffd"
    assert header.token(0) == "\ufffd"


def test_a_file_without_tensors_needs_no_padding(tmp_path: Path) -> None:
    header = write(tmp_path / "vocab.gguf", b.gguf([b.text("general.name", "vocabulary only")]))
    assert header.tensors == ()
    assert header.file_size % 32 != 0


def test_tensors_lie_where_the_alignment_says(tmp_path: Path) -> None:
    tensors = [b.tensor("a", (32, 3), kind=8), b.tensor("b", (4,), offset=256)]
    content = b.gguf([b.number("general.alignment", 128)], tensors, data=272, alignment=128)
    header = write(tmp_path / "aligned.gguf", content)
    assert header.data_offset % 128 == 0
    assert [(t.type, t.shape, t.offset - header.data_offset, t.nbytes) for t in header.tensors] == [
        ("Q8_0", (32, 3), 0, 102),
        ("F32", (4,), 256, 16),
    ]


def compare_with_the_gguf_package(path: Path) -> None:
    header, reader = read_header(path), GGUFReader(path)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    for key, value in header.metadata.items():
        ours = header.array(key) if isinstance(value, ArrayRef) else value
        theirs = fields[key].contents()
        if fields[key].types[-1] == GGUFValueType.FLOAT32:
            assert np.array_equal(np.array(ours, np.float32), np.array(theirs, np.float32)), key
        else:
            assert ours == theirs, key
    assert header.data_offset == reader.data_offset
    assert [(t.name, t.type, t.shape, t.offset, t.nbytes) for t in header.tensors] == [
        (t.name, t.tensor_type.name, tuple(t.shape.tolist()), t.data_offset, t.n_bytes) for t in reader.tensors
    ]


@pytest.mark.parametrize("weights", ["F32", "F16", "Q8_0", "Q4_0", "Q5_1", "BF16"])
def test_a_random_model_is_read_as_the_gguf_package_reads_it(tmp_path: Path, weights: str) -> None:
    kind = GGMLQuantizationType[weights]
    compare_with_the_gguf_package(random_model(tmp_path / "random.gguf", **TINY, weights=kind))


def test_a_scripted_model_is_read_as_the_gguf_package_reads_it(tmp_path: Path) -> None:
    compare_with_the_gguf_package(scripted_model(tmp_path / "scripted.gguf", "Hello, wörld!"))


@pytest.mark.parametrize(
    "name",
    [
        "bard/bard-q8_0.gguf",
        "vocab/ggml-vocab-bert-bge.gguf",
        "vocab/ggml-vocab-llama-spm.gguf",
        "vocab/ggml-vocab-phi-3.gguf",
    ],
)
def test_a_real_file_is_read_as_the_gguf_package_reads_it(name: str) -> None:
    path = SHARED_MODELS / name
    if not path.exists():
        pytest.skip(f"shared/models/{name} does not lie beside this checkout")
    compare_with_the_gguf_package(path)
