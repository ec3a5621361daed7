"""The input of a decode step: tokens, or embeddings in their place. Filled through numpy."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.llama import C


class LlamaBatch:
    """One decode step's input, filled through numpy: token, position, sequence and whether logits are wanted."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.token = np.zeros(capacity, np.int32)
        self.pos = np.zeros(capacity, np.int32)
        self.seq = np.zeros(capacity, np.int32)
        self.logits = np.zeros(capacity, np.int8)
        self._one = np.ones(capacity, np.int32)
        base = self.seq.ctypes.data
        # Every token belongs to exactly one sequence, so the pointer of row i always points at seq[i].
        self._seq_rows = np.arange(base, base + 4 * capacity, 4, dtype=np.uintp)
        self.struct = C.llama_batch(
            n_tokens=0,
            token=self.token.ctypes.data_as(ctypes.POINTER(C.llama_token)),
            embd=None,
            pos=self.pos.ctypes.data_as(ctypes.POINTER(C.llama_pos)),
            n_seq_id=self._one.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._seq_rows.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(C.llama_seq_id))),
            logits=self.logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        self.n_tokens = 0

    def clear(self) -> None:
        self.n_tokens = 0

    def add(self, tokens: Sequence[int], start: int, seq: int, *, want_logits: bool) -> int:
        """Append tokens at positions `start`…; logits of the last one if wanted. Returns the row of the last."""
        first, end = self.n_tokens, self.n_tokens + len(tokens)
        if end - first == 1:
            self.token[first], self.pos[first], self.seq[first] = tokens[0], start, seq
            self.logits[first] = want_logits
        else:
            self.token[first:end] = tokens
            self.pos[first:end] = np.arange(start, start + end - first)
            self.seq[first:end] = seq
            self.logits[first:end] = 0
            self.logits[end - 1] = want_logits
        self.n_tokens = end
        return end - 1


class EmbeddingBatch:
    """One decode step's input for one sequence, given as embeddings instead of tokens."""

    def __init__(self, rows: NDArray[np.float32], positions: NDArray[np.int32], seq: int, *, want_logits: bool) -> None:
        """`positions` are one for each row, or (M-RoPE) four sections of them; logits of the last row if wanted."""
        n = self.n_tokens = len(rows)
        self.last = n - 1
        self._rows = np.ascontiguousarray(rows)
        self._positions = np.ascontiguousarray(positions)
        self._seq = np.full(1, seq, np.int32)
        self._seq_rows = np.full(n, self._seq.ctypes.data, np.uintp)
        self._one = np.ones(n, np.int32)
        self._logits = np.zeros(n, np.int8)
        self._logits[-1] = want_logits
        self.struct = C.llama_batch(
            n_tokens=n,
            token=None,
            embd=self._rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            pos=self._positions.ctypes.data_as(ctypes.POINTER(C.llama_pos)),
            n_seq_id=self._one.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            seq_id=self._seq_rows.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(C.llama_seq_id))),
            logits=self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
