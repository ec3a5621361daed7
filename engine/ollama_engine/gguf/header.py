"""Reads the header of a GGUF file: metadata and the table of tensors, without the tensors and without numpy.

The store describes models with it, the scheduler estimates memory, `create` refuses broken files before llama.cpp sees
them. A header is hostile until read: whatever the bytes are, the answer is a `Header` or an `InvalidGGUF` that names
the file and the fault (spec §14). Arrays are not materialised; a vocabulary of 150,000 tokens costs its skipping.

Format: magic `GGUF`, version, tensor count, metadata count; metadata (key, type, value); tensors (name, dimensions,
type, offset); padding to `general.alignment`; tensor data. All little-endian.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

from ollama_engine.errors import InvalidGGUF, NotFound, StoreError
from ollama_engine.gguf.cursor import CUT_SHORT, MARK_EVERY, Cursor
from ollama_engine.gguf.ggml_types import REMOVED_TENSOR_TYPES, TENSOR_TYPES

KEY_LIMIT = 65535
"""Longest key or tensor name in bytes; GGUF's own limit for keys."""
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 20
MAX_DIMENSIONS = 4
ARRAY_LIMIT = 1 << 24
"""Most entries of an array that are ever made into a Python list."""
DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: ("u8", struct.Struct("<B")),
    1: ("i8", struct.Struct("<b")),
    2: ("u16", struct.Struct("<H")),
    3: ("i16", struct.Struct("<h")),
    4: ("u32", struct.Struct("<I")),
    5: ("i32", struct.Struct("<i")),
    6: ("f32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<B")),
    10: ("u64", struct.Struct("<Q")),
    11: ("i64", struct.Struct("<q")),
    12: ("f64", struct.Struct("<d")),
}
_LAYOUTS = dict(_SCALARS.values())

Scalar = bool | int | float | str


@dataclass(frozen=True)
class ArrayRef:
    """Where an array lies: `count` values of `type` (`u32`, `string` …) from byte `offset` of the first shard on.

    `marks` are the offsets of every `MARK_EVERY`-th string (empty for numbers); `nbytes` is what all of it takes.
    """

    type: str
    count: int
    offset: int
    nbytes: int
    marks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """`shape` is ggml's order, row length first; `offset` and `nbytes` are bytes in the file that holds it."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The header of one GGUF file, or of all shards of a model merged by `shards.read_model`.

    `metadata` keeps the file's order. `file_size` is bytes, of all files together.
    """

    path: Path
    version: int
    metadata: Mapping[str, Scalar | ArrayRef]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_size: int
    files: tuple[Path, ...]

    def array(self, key: str, limit: int | None = None) -> list[Scalar]:
        """The first `limit` values of an array (all when None), read from the file now; [] where there is none.

        Raises:
            InvalidGGUF: the key holds something else, or more than `ARRAY_LIMIT` values are asked for.
        """
        ref = self._array_ref(key)
        if ref is None:
            return []
        count = ref.count if limit is None else min(ref.count, max(limit, 0))
        if count > ARRAY_LIMIT:
            raise self.fault(f"{key} has {ref.count} values, too many to read")
        with _opened(self.path) as (file, size):
            return _read_values(Cursor(file, self.path, size, ref.offset), ref.type, count, key)

    def array_bytes(self, key: str) -> bytes:
        """An array as it lies in the file, read from there now; empty where there is none. Errors as `array`."""
        ref = self._array_ref(key)
        if ref is None:
            return b""
        with _opened(self.path) as (file, size):
            return Cursor(file, self.path, size, ref.offset).take(ref.nbytes, key)

    def token(self, index: int) -> str | None:
        """One entry of the vocabulary (`tokenizer.ggml.tokens`) as text; None where it has no such entry."""
        key = "tokenizer.ggml.tokens"
        ref = self._array_ref(key)
        if ref is None or ref.type != "string" or not 0 <= index < ref.count:
            return None
        with _opened(self.path) as (file, size):
            cursor = Cursor(file, self.path, size, ref.marks[index // MARK_EVERY])
            cursor.skip_strings(index % MARK_EVERY, key)
            return _text(cursor.string(key))

    def text(self, key: str, default: str = "") -> str:
        value = self.metadata.get(key, default)
        if not isinstance(value, str):
            raise self.fault(f"{key} should be text")
        return value

    def integer(self, key: str, default: int = 0) -> int:
        """A count or an id: an integer that is not negative."""
        value = self.metadata.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or (value < 0 and value != default):
            raise self.fault(f"{key} should be a whole number, not negative")
        return value

    def flag(self, key: str) -> bool | None:
        """A boolean, None where the file does not say."""
        value = self.metadata.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.fault(f"{key} should be true or false")
        return value

    def fault(self, problem: str) -> InvalidGGUF:
        return InvalidGGUF(f"{self.path.name}: {problem}", hint="convert the model again with a current llama.cpp")

    def _array_ref(self, key: str) -> ArrayRef | None:
        value = self.metadata.get(key)
        if value is not None and not isinstance(value, ArrayRef):
            raise self.fault(f"{key} should be a list")
        return value


def read_header(path: Path) -> Header:
    """Read the header of the one file at `path` (`shards.read_model` reads a model of several).

    Raises:
        InvalidGGUF: not a GGUF file of version 2 or 3, or a broken one.
        NotFound: no file there.
        StoreError: the file cannot be read.
    """
    with _opened(path) as (file, size):
        cursor = Cursor(file, path, size)
        version = _read_magic(cursor)
        tensor_count = cursor.u64("the tensor count")
        key_count = cursor.u64("the metadata count")
        # The smallest entry takes 13 bytes (key) or 32 (tensor): larger counts are lies.
        if key_count > MAX_KEYS or key_count * 13 > cursor.remaining:
            raise cursor.fault(f"claims {key_count} metadata keys, which do not fit in {size} bytes")
        if tensor_count > MAX_TENSORS or tensor_count * 32 > cursor.remaining:
            raise cursor.fault(f"claims {tensor_count} tensors, which do not fit in {size} bytes")
        metadata = _read_metadata(cursor, key_count)
        alignment = _alignment(cursor, metadata)
        entries = _read_tensor_table(cursor, tensor_count)
        data_offset = -(-cursor.position // alignment) * alignment
        tensors = _place_tensors(cursor, entries, data_offset, alignment, size)
    return Header(path, version, MappingProxyType(metadata), tensors, data_offset, size, (path,))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size. Only regular files are opened: a pipe or a device would hang the reader."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidGGUF(f"{path.name} is not a file", hint="name a .gguf file")
        with path.open("rb") as file:
            yield file, path.stat().st_size
    except FileNotFoundError as error:
        raise NotFound(f"{path.name} does not exist", hint="check the path") from error
    except OSError as error:
        hint = "check the file's permissions and the disk"
        raise StoreError(f"{path.name} cannot be read: {error.strerror or error}", hint=hint) from error


def _read_magic(cursor: Cursor) -> int:
    if cursor.remaining < 4:
        raise cursor.fault("is not a GGUF file (it has fewer than 4 bytes)", "name a .gguf file")
    magic = cursor.take(4, "the magic")
    if magic in (b"lmgg", b"fmgg", b"tjgg", b"algg"):
        raise cursor.fault("is a GGML file, the format before GGUF", "get the model in GGUF format")
    if magic == b"FUGG":
        raise cursor.fault("is a big-endian GGUF file", "get or convert a little-endian one")
    if magic != b"GGUF":
        raise cursor.fault(f"is not a GGUF file (it starts with {magic.hex(' ')}, not GGUF)", "name a .gguf file")
    version = cursor.u32("the version")
    if version & 0xFFFF == 0 and version:
        raise cursor.fault("is a big-endian GGUF file", "get or convert a little-endian one")
    if version not in (2, 3):
        raise cursor.fault(f"is GGUF version {version}; versions 2 and 3 can be read", "convert the model again")
    return version


def _read_metadata(cursor: Cursor, count: int) -> dict[str, Scalar | ArrayRef]:
    metadata: dict[str, Scalar | ArrayRef] = {}
    for number in range(1, count + 1):
        key = _name(cursor, f"metadata key {number} of {count}")
        if key in metadata:
            raise cursor.fault(f"metadata key {key} appears twice")
        metadata[key] = _read_value(cursor, key)
    return metadata


def _read_value(cursor: Cursor, key: str) -> Scalar | ArrayRef:
    kind = cursor.u32(f"the type of {key}")
    if kind == _STRING:
        return _text(cursor.string(key))
    if kind == _ARRAY:
        return _read_array_ref(cursor, key)
    if kind not in _SCALARS:
        raise cursor.fault(f"{key} has the unknown value type {kind}")
    name, layout = _SCALARS[kind]
    return _scalar(cursor, name, layout.unpack(cursor.take(layout.size, key))[0], key)


def _read_array_ref(cursor: Cursor, key: str) -> ArrayRef:
    kind = cursor.u32(f"the element type of {key}")
    count = cursor.u64(f"the length of {key}")
    offset = cursor.position
    if kind == _STRING:
        marks = cursor.skip_strings(count, key)
        return ArrayRef("string", count, offset, cursor.position - offset, marks)
    if kind == _ARRAY:
        raise cursor.fault(f"{key} is an array of arrays, which llama.cpp cannot load")
    if kind not in _SCALARS:
        raise cursor.fault(f"{key} has the unknown element type {kind}")
    name, layout = _SCALARS[kind]
    cursor.skip(count * layout.size, key)
    return ArrayRef(name, count, offset, count * layout.size)


def _read_values(cursor: Cursor, kind: str, count: int, key: str) -> list[Scalar]:
    if kind == "string":
        return [_text(cursor.string(key)) for _ in range(count)]
    layout = _LAYOUTS[kind]
    data = cursor.take(count * layout.size, key)
    return [_scalar(cursor, kind, value, key) for (value,) in layout.iter_unpack(data)]


def _scalar(cursor: Cursor, kind: str, value: int | float, key: str) -> Scalar:
    if kind == "bool":
        if value not in (0, 1):
            raise cursor.fault(f"{key} is a boolean with the value {value}")
        return bool(value)
    return _shortest(value) if kind == "f32" else value


def _shortest(value: float) -> float:
    """The decimal number that a 32-bit float stands for: 1e-05 where widening it would give 9.99999974e-06."""
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) < 3.4e38 and struct.pack("<f", short) == struct.pack("<f", value):
            return short
    return value


def _alignment(cursor: Cursor, metadata: Mapping[str, Scalar | ArrayRef]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if isinstance(alignment, bool) or not isinstance(alignment, int):
        raise cursor.fault("general.alignment should be a whole number")
    if alignment <= 0 or alignment & (alignment - 1):
        raise cursor.fault(f"general.alignment is {alignment}, not a power of two")
    return alignment


def _read_tensor_table(cursor: Cursor, count: int) -> list[Tensor]:
    """The tensors as the table has them, offsets counted from the start of the data."""
    names: set[str] = set()
    tensors: list[Tensor] = []
    for number in range(1, count + 1):
        name = _name(cursor, f"the name of tensor {number} of {count}")
        if name in names:
            raise cursor.fault(f"tensor {name} appears twice")
        names.add(name)
        tensors.append(_read_tensor(cursor, name))
    return tensors


def _read_tensor(cursor: Cursor, name: str) -> Tensor:
    what = f"tensor {name}"
    dimensions = cursor.u32(what)
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise cursor.fault(f"{what} has {dimensions} dimensions; 1 to {MAX_DIMENSIONS} are possible")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions, what))
    if 0 in shape:
        raise cursor.fault(f"{what} has a dimension of zero: {list(shape)}")
    number = cursor.u32(what)
    kind = TENSOR_TYPES.get(number)
    if kind is None and number in REMOVED_TENSOR_TYPES:
        raise cursor.fault(f"{what} has type {number}, which llama.cpp removed", "get another quantization")
    if kind is None:
        hint = "get another quantization, or a newer release of this program"
        raise cursor.fault(f"{what} has the unknown type {number}", hint)
    if shape[0] % kind.block:
        raise cursor.fault(f"{what} has rows of {shape[0]}, not a multiple of {kind.name}'s block of {kind.block}")
    if prod(shape) >= 1 << 63:
        raise cursor.fault(f"{what} has more elements than can be counted: {list(shape)}")
    return Tensor(name, kind.name, shape, cursor.u64(what), prod(shape) // kind.block * kind.size)


def _place_tensors(
    cursor: Cursor, table: list[Tensor], data_offset: int, alignment: int, size: int
) -> tuple[Tensor, ...]:
    """The same tensors with offsets in the file, each checked to lie inside it and apart from the others."""
    placed: list[Tensor] = []
    for tensor in table:
        if tensor.offset % alignment:
            raise cursor.fault(f"tensor {tensor.name} starts at {tensor.offset}, not aligned to {alignment}")
        start = data_offset + tensor.offset
        if start + tensor.nbytes > size:
            problem = f"tensor {tensor.name} ends at byte {start + tensor.nbytes}, the file at {size}"
            raise cursor.fault(problem, CUT_SHORT)
        placed.append(Tensor(tensor.name, tensor.type, tensor.shape, start, tensor.nbytes))
    end, before = data_offset, ""
    for tensor in sorted(placed, key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise cursor.fault(f"tensor {tensor.name} overlaps {before}")
        end, before = tensor.offset + tensor.nbytes, tensor.name
    return tuple(placed)


def _name(cursor: Cursor, what: str) -> str:
    raw = cursor.string(what, KEY_LIMIT)
    if not raw:
        raise cursor.fault(f"{what} is empty")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise cursor.fault(f"{what} is not UTF-8") from None


def _text(raw: bytes) -> str:
    """Values and tokens may hold half characters; keys may not."""
    return raw.decode(errors="replace")
