"""Finds tokens in a GGUF's vocabulary by their text, without making strings of all the others."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from ollama_engine.gguf.cursor import MARK_EVERY
from ollama_engine.gguf.header import ArrayRef, Header

VOCABULARY = "tokenizer.ggml.tokens"
MAX_BYTES = 64 << 20
"""A larger vocabulary is not searched; that of 256,000 tokens takes 5 MB."""

_U64 = struct.Struct("<Q")


def find_tokens(header: Header, texts: Iterable[str]) -> dict[str, int]:
    """Ids of those of `texts` that are tokens, the first where one comes twice. A millisecond a text and megabyte."""
    ref = header.metadata.get(VOCABULARY)
    if not isinstance(ref, ArrayRef) or ref.type != "string" or ref.nbytes > MAX_BYTES:
        return {}
    data = header.array_bytes(VOCABULARY)
    found = {text: _find(data, ref, text.encode()) for text in texts}
    return {text: token for text, token in found.items() if token is not None}


def _find(data: bytes, ref: ArrayRef, text: bytes) -> int | None:
    length = _U64.pack(len(text))
    at = data.find(text)
    while at >= 0:
        # Bytes that look like the whole of a token may still lie inside another one.
        if data[at - len(length) : at] == length and (token := _token_at(data, ref, at - len(length))) is not None:
            return token
        at = data.find(text, at + 1)
    return None


def _token_at(data: bytes, ref: ArrayRef, start: int) -> int | None:
    """The number of the string that begins at byte `start` of the array; None where none does."""
    marks = [mark - ref.offset for mark in ref.marks]
    block = sum(mark <= start for mark in marks) - 1
    token, at = block * MARK_EVERY, marks[block]
    while at < start:
        at += _U64.size + _U64.unpack_from(data, at)[0]
        token += 1
    return token if at == start and token < ref.count else None
