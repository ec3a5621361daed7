"""Builds GGUF headers byte by byte, valid or broken in one place: for tests of the header reader."""

from __future__ import annotations

import struct
from collections.abc import Sequence

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
"""GGUF's value types."""


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def string(text: str | bytes, *, length: int | None = None) -> bytes:
    """A string; `length` is what it claims, where that is not the truth."""
    raw = text if isinstance(text, bytes) else text.encode()
    return u64(len(raw) if length is None else length) + raw


def pair(key: str | bytes, kind: int, payload: bytes) -> bytes:
    """One metadata entry."""
    return string(key) + u32(kind) + payload


def text(key: str, value: str | bytes) -> bytes:
    return pair(key, STRING, string(value))


def number(key: str, value: int) -> bytes:
    return pair(key, U32, u32(value))


def array(key: str, kind: int, payload: bytes, count: int) -> bytes:
    return pair(key, ARRAY, u32(kind) + u64(count) + payload)


def tokens(entries: Sequence[str | bytes]) -> bytes:
    payload = b"".join(string(entry) for entry in entries)
    return array("tokenizer.ggml.tokens", STRING, payload, len(entries))


def tensor(
    name: str | bytes = "w",
    shape: Sequence[int] = (32,),
    *,
    kind: int = 0,
    offset: int = 0,
    dimensions: int | None = None,
) -> bytes:
    """One entry of the tensor table; `dimensions` is the count it claims."""
    claimed = len(shape) if dimensions is None else dimensions
    return string(name) + u32(claimed) + b"".join(u64(size) for size in shape) + u32(kind) + u64(offset)


def gguf(
    pairs: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    *,
    data: int = 0,
    magic: bytes = b"GGUF",
    version: int = 3,
    pair_count: int | None = None,
    tensor_count: int | None = None,
    alignment: int = 32,
) -> bytes:
    """A whole file with `data` zero bytes of tensor data; the counts are what the header claims."""
    header = magic + u32(version)
    header += u64(len(tensors) if tensor_count is None else tensor_count)
    header += u64(len(pairs) if pair_count is None else pair_count)
    header += b"".join(pairs) + b"".join(tensors)
    padding = -len(header) % alignment if data else 0
    return header + bytes(padding + data)
