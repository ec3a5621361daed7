"""The tokens that a sampler chain chooses among, as llama.cpp's samplers take them.

llama.cpp's own way lays out all of a vocabulary for every token, 1.5 MB where it has 128k entries; where only the
likeliest few can be chosen, those few are laid out here.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.llama import C

Logits = NDArray[np.float32]

ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama_token_data (llama.h)."""
BLOCKS_PER_TOKEN = 4
"""So many blocks a wanted token must there be: then hardly any comes along that is not wanted."""
BLOCK = 64


def likeliest(logits: Logits, n: int) -> NDArray[np.intp] | None:
    """The tokens of the `n` largest logits, and those as large as the last of them, in order of their numbers.

    None where looking for them does not pay: a small vocabulary, or nearly all of it wanted.
    """
    blocks = len(logits) // BLOCK
    if n * BLOCKS_PER_TOKEN > blocks:
        return None
    # The n-th largest of the blocks' maxima: at least n logits are not smaller.
    maxima = logits[: blocks * BLOCK].reshape(BLOCK, blocks).max(axis=0)
    least = np.partition(maxima, blocks - n)[blocks - n]
    return np.flatnonzero(logits >= least)


class Candidates(threading.local):
    """Room for all of a vocabulary, another in each thread; filled anew for each token that is drawn."""

    def __init__(self, n_vocab: int) -> None:
        self._entries = np.zeros(n_vocab, ENTRY)
        self._arrays = (C.llama_token_data_array * 1)()
        self._array: Any = self._arrays[0]
        self._first = ctypes.cast(self._entries.ctypes.data, C.llama_token_data_p)

    def fill(self, logits: Logits, tokens: NDArray[np.intp] | None = None) -> None:
        """Lay out `tokens`, or the whole vocabulary."""
        if tokens is None:
            size = len(logits)
            self._entries["id"], self._entries["logit"] = np.arange(size), logits
        else:
            size = len(tokens)
            self._entries["id"][:size], self._entries["logit"][:size] = tokens, logits[tokens]
        self._array.data = self._first  # XTC leaves it further on
        self._array.size, self._array.selected, self._array.sorted = size, -1, False

    def apply(self, sampler: Any) -> None:
        C.llama_sampler_apply(sampler, self._arrays)

    def drop_impossible(self) -> int:
        """Take out what has a logit of minus infinity; how many are left."""
        size = self._array.size
        left = self._entries[:size][self._entries["logit"][:size] > -np.inf]
        self._entries[: len(left)] = left
        self._array.size = len(left)
        return len(left)

    @property
    def selected(self) -> int:
        """The token that the last sampler of a chain chose; -1 where it chose none."""
        at = self._array.selected
        return int(self._array.data[at].id) if 0 <= at < self._array.size else -1


def merged(tokens: NDArray[np.intp], others: Sequence[int]) -> NDArray[np.intp]:
    """Both, each once, in order."""
    return np.union1d(tokens, np.fromiter(others, np.intp, len(others))) if others else tokens
