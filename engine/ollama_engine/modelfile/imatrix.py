"""Reads importance matrices, as llama.cpp's llama-imatrix writes them: how much each column of a tensor counts.

Two formats: GGUF (`<tensor>.in_sum2` and `<tensor>.counts`), and the older one of plain records, both as
llama.cpp's common/imatrix-loader.cpp reads them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ollama_engine.errors import InvalidGGUF, InvalidRequest
from ollama_engine.gguf import Tensor, read_header

Floats = npt.NDArray[np.float32]
MAX_FILE = 1 << 29
"""Bytes. The matrix of a large mixture of experts has some 100 MB."""
MAX_ENTRIES = 1 << 16
_SUMS, _COUNTS = ".in_sum2", ".counts"
_INT = struct.Struct("<i")


def read_imatrix(path: Path) -> dict[str, bytes]:
    """Name of a tensor -> its float32 values, in this machine's order.

    Raises:
        InvalidRequest: it is no importance matrix, or a broken one.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise _invalid("it is too large for one")
        with path.open("rb") as file:
            entries = _read_gguf(path, file) if file.read(4) == b"GGUF" else _read_plain(file)
    except InvalidGGUF as error:
        raise _invalid(error.message) from error
    except OSError as error:
        raise InvalidRequest(f"cannot read the importance matrix: {error.strerror or error}") from error
    if not all(np.isfinite(values).all() for values in entries.values()):
        raise _invalid("it has values that are no numbers")
    return {name: values.astype(np.float32).tobytes() for name, values in entries.items()}


def _read_gguf(path: Path, file: BinaryIO) -> dict[str, Floats]:
    tensors = {tensor.name: tensor for tensor in read_header(path).tensors}
    names = [name.removesuffix(_SUMS) for name in tensors if name.endswith(_SUMS)]
    if not names:
        raise _invalid("no tensor in it is named *.in_sum2")
    return {name: _mean(name, tensors, file) for name in names}


def _mean(name: str, tensors: dict[str, Tensor], file: BinaryIO) -> Floats:
    """Sums over the counts, of each expert by itself; all columns count alike where nothing was counted."""
    counted = tensors.get(name + _COUNTS)
    if counted is None:
        raise _invalid(f"it has no counts for {name}")
    sums, counts = (_values(tensor, file) for tensor in (tensors[name + _SUMS], counted))
    if not counts.size or sums.size % counts.size:
        raise _invalid(f"sums and counts of {name} do not belong together")
    rows, counts = sums.reshape(counts.size, -1), np.rint(counts)[:, None]
    return np.where(counts > 0, rows / np.maximum(counts, 1), 1).astype(np.float32).ravel()


def _values(tensor: Tensor, file: BinaryIO) -> Floats:
    if tensor.type != "F32":
        raise _invalid(f"{tensor.name} is of type {tensor.type}, not F32")
    file.seek(tensor.offset)
    return _floats(file, tensor.elements)


def _read_plain(file: BinaryIO) -> dict[str, Floats]:
    file.seek(0)
    count = _integer(file)
    if not 1 <= count <= MAX_ENTRIES:
        raise _invalid("it begins neither as GGUF nor as the older format")
    entries: dict[str, Floats] = {}
    for _ in range(count):
        name = _exactly(file, _integer(file)).decode("utf-8", "replace")
        calls, size = _integer(file), _integer(file)
        values = _floats(file, size)
        entries[name] = values / np.float32(calls) if calls > 0 else values
    return entries


def _floats(file: BinaryIO, count: int) -> Floats:
    return np.frombuffer(_exactly(file, 4 * count), dtype="<f4")


def _integer(file: BinaryIO) -> int:
    return _INT.unpack(_exactly(file, _INT.size))[0]


def _exactly(file: BinaryIO, size: int) -> bytes:
    if not 0 <= size <= MAX_FILE:
        raise _invalid("a length in it is impossible")
    data = file.read(size)
    if len(data) < size:
        raise _invalid("it ends too early")
    return data


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"the file is no importance matrix: {reason}",
        hint="Make one of the model itself with llama.cpp's llama-imatrix.",
    )
