"""The slots of the KV cache and what they hold: which prompt may take over which cells of which slot.

Used by batcher.py. A cell is one int: the token at that place. Cells are compared by value and nothing else.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

Cells = array
"""What KV cells hold, in order: 64-bit ints (type code `q`), so that a comparison runs over bare memory."""


def cells_of(tokens: list[int]) -> Cells[int]:
    return array("q", tokens)


def common_prefix(one: Cells[int], other: Cells[int]) -> int:
    """How many leading cells are the same; 100 000 cells take some 0.1 ms."""
    n = min(len(one), len(other))
    if n == 0:
        return 0
    differ = np.frombuffer(one, np.int64, n) != np.frombuffer(other, np.int64, n)
    first = int(differ.argmax())
    return first if differ[first] else n


@dataclass
class Slot:
    """A sequence id of the KV cache. `cells` are what it holds now, in order from position 0."""

    id: int
    cells: Cells[int] = field(default_factory=lambda: array("q"))
    busy: bool = False
    used_at: float = 0.0

    def position(self, cell: int) -> int:
        """The position, as llama.cpp counts, of the cell with that number (0 is the first), be it there or not yet."""
        return cell

    @property
    def next_position(self) -> int:
        """The position of the token to be decoded next."""
        return self.position(len(self.cells))
