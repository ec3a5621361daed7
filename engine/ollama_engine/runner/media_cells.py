"""Cells that hold a piece of an image or a sound, as ints beside the tokens of text.

A text cell is its token, 0 or more; a media cell is negative. 46 of its bits come from the SHA-256 of the file and the
cell's place in it, so that equal prefixes are equal images; the rest tell what the KV cache must know of it without
asking anybody: whether it is the first cell of a run that is decoded as one, and how far it moves the position. (With
M-RoPE an image of 10 x 6 cells takes 10 positions, not 60: its first cell moves by 10, the others by nothing.)

Used by media.py (which makes them) and prefix_cache.py (which compares and cuts them).
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

MAX_ADVANCE = 0xFFFF
_FIRST = 1 << 16
_TAG_BITS = 17
_HASH_SHIFT = 64 - (63 - _TAG_BITS)


def run_cells(digest: bytes, number: int, n_cells: int, n_positions: int) -> list[int]:
    """The cells of run `number` of the file with this digest; ValueError where it takes too many positions.

    `n_positions` is `n_cells` unless positions are counted otherwise (M-RoPE).
    """
    if n_positions > MAX_ADVANCE or n_positions < 1:
        raise ValueError(f"{n_positions} positions")
    import hashlib  # with it comes OpenSSL: 4 MB that a model which only reads does without

    stream = hashlib.shake_128(digest + number.to_bytes(4, "little")).digest(8 * n_cells)
    tags = np.zeros(n_cells, np.uint64)
    if n_positions == n_cells:
        tags += 1
    else:
        tags[0] = n_positions
    tags[0] |= _FIRST
    hashes = np.frombuffer(stream, "<u8") >> np.uint64(_HASH_SHIFT)
    return (~((hashes << np.uint64(_TAG_BITS)) | tags).view(np.int64)).tolist()


def starts_run(cell: int) -> bool:
    return cell < 0 and bool(~cell & _FIRST)


def whole(cells: array[int], n: int) -> int:
    """The greatest number of leading cells, `n` at most, after which no run is cut in two."""
    while 0 < n < len(cells) and cells[n] < 0 and not starts_run(cells[n]):
        n -= 1
    return n


def whole_after(cells: array[int], n: int) -> int:
    """The smallest number of leading cells, `n` at least, after which no run is cut in two."""
    while n < len(cells) and cells[n] < 0 and not starts_run(cells[n]):
        n += 1
    return n


def positions(cells: array[int], n: int) -> int:
    """How many positions the first `n` cells take; cells beyond the last take one each."""
    known: NDArray[np.int64] = np.frombuffer(cells, np.int64, min(n, len(cells))) if len(cells) and n else _NONE
    media = known < 0
    advance = int((~known[media] & MAX_ADVANCE).sum())
    return n - int(media.sum()) + advance


_NONE = np.zeros(0, np.int64)
