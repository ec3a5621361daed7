"""What the parent and the process that quantizes say to each other.

One `QuantizeSpec` goes in over stdin, msgpack behind its length; stdin stays open for as long as the result is wanted.
Lines of JSON come out over stdout, the last of them `QuantizeDone` or `QuantizeFailed`.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import msgspec
from msgspec import Struct

MAX_SPEC = 1 << 30
"""Bytes; an importance matrix has some tens of MB."""
_LENGTH = struct.Struct("<Q")


class QuantizeSpec(Struct, frozen=True):
    """`source` is a GGUF file or the first of its shards; `target` is overwritten. `file_type` is llama.cpp's
    llama_ftype. `pins` are regular expressions and the ggml_type that tensors which match them get. `imatrix` has
    float32 values as bytes for each tensor, in this machine's order.
    """

    source: str
    target: str
    file_type: int
    pins: list[tuple[str, int]] = []
    imatrix: dict[str, bytes] = {}
    requantize: bool = False


class QuantizePlanned(Struct, tag="planned", frozen=True):
    """How many bytes the tensors of the result will have; before any is written."""

    bytes: int


class QuantizeBegun(Struct, tag="begun", frozen=True):
    """The `number`th tensor of `count` is now read; the ones before are written."""

    number: int
    count: int


class QuantizeDone(Struct, tag="done", frozen=True):
    pass


class QuantizeFailed(Struct, tag="failed", frozen=True):
    message: str


QuantizeReport = QuantizePlanned | QuantizeBegun | QuantizeDone | QuantizeFailed


def encode_spec(spec: QuantizeSpec) -> bytes:
    data = msgspec.msgpack.encode(spec)
    return _LENGTH.pack(len(data)) + data


def read_spec(stream: BinaryIO) -> QuantizeSpec:
    """ValueError where the stream ends before it, or it is none."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size or (length := _LENGTH.unpack(header)[0]) > MAX_SPEC:
        raise ValueError("nothing was asked for")
    data = stream.read(length)
    if len(data) < length:
        raise ValueError("nothing was asked for")
    return msgspec.msgpack.decode(data, type=QuantizeSpec)


def encode_quantize_report(report: QuantizeReport) -> bytes:
    return msgspec.json.encode(report) + b"\n"


def decode_quantize_report(line: bytes) -> QuantizeReport:
    """ValueError where it is none."""
    return msgspec.json.decode(line, type=QuantizeReport)
