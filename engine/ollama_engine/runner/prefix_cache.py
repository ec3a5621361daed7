"""The prefix cache: which slot of the KV cache holds what, and what a new prompt takes over of it.

Used by batcher.py. A slot is a sequence id of llama.cpp's unified KV cache; live and finished ones alike are looked
through. Where the longest prefix is held by another slot than the one a prompt gets, the two share its cells if they
are of one pool: a cell may belong to several sequences, and is free again when the last of them has let it go. Where
each slot has a stream of its own (llama_context.py), the prefix is copied if that costs less than to compute it.

What slots share is always a prefix of both, so the slots form a tree, and one number for each pair says it all.
A cache on disk would be one more holder to ask in `take`.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.media_cells import positions, whole, whole_after

Cells = array
"""What KV cells hold, in order: 64-bit ints (type code `q`), so that a comparison runs over bare memory. Each is the
token at that place, or a piece of an image or a sound (media_cells.py); cells are compared by value."""

LITTLE = 16
"""Cells that nobody misses: a prompt goes on in the slot that it continues, rather than in another, if it overwrites no
more. Else a conversation would fill all slots with its earlier states."""

LITTLE_OF_MANY = 1 / 16
"""Share of what a prompt keeps that it may overwrite as well, where another slot would have to be given a copy."""
COPIES_PER_TOKEN = 100
"""Cells that are copied in less time than a token of prompt is computed, by a wide margin on every device."""

MAX_CHECKPOINT = 128 * 1024 * 1024
"""Bytes of a state worth keeping beside the cache, for each slot."""


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


@dataclass(eq=False)
class Slot:
    """A sequence id of the KV cache. `cells` are what it holds now, in order from position 0."""

    id: int
    cells: Cells[int] = field(default_factory=lambda: array("q"))
    jumps: bool = False
    """Whether images move the position by other than their cells (M-RoPE)."""
    busy: bool = False
    used_at: float = 0.0
    unbroken: int | None = None
    """Once the context was shifted: how many leading cells are still those of an unbroken prefill. The others were
    computed with the cut-out ones before them: no other prompt may be given them."""
    checkpoint: tuple[int, Any] | None = None
    """A recurrent state that cannot be cut back, as it was after so many of the cells."""

    def position(self, cell: int) -> int:
        """The position, as llama.cpp counts, of the cell with that number (0 is the first), be it there or not yet."""
        return positions(self.cells, cell) if self.jumps else cell

    @property
    def next_position(self) -> int:
        """The position of the token to be decoded next."""
        return self.position(len(self.cells))


class PrefixCache:
    """All slots of a context. Nobody else removes, shares or moves cells; who decodes into a slot extends `cells`."""

    def __init__(self, context: LlamaContext, *, jumps: bool = False) -> None:
        """`jumps`: as Slot's."""
        self._context = context
        self.slots = [Slot(i, jumps=jumps) for i in range(context.n_seq)]
        self._shared = np.zeros((context.n_seq, context.n_seq), np.int64)
        """How many leading cells each two slots have in common, physically; 0 on the diagonal."""

    @property
    def cells_used(self) -> int:
        """Cells that hold something, those that several slots share counted once."""
        shared = np.tril(self._shared)
        return sum(len(slot.cells) - int(shared[slot.id].max()) for slot in self.slots)

    @property
    def has_free_slot(self) -> bool:
        return any(not slot.busy for slot in self.slots)

    def take(self, prompt: Cells[int]) -> tuple[Slot, int]:
        """A free slot for `prompt`, with the longest prefix that any slot holds of it, and how many cells that is.

        The slot is busy until it is released. At least one token is left to be decoded, for its logits.
        """
        held = [self._usable(slot, prompt) for slot in self.slots]
        source = self.slots[int(np.argmax(held))]
        behind = max((slot for slot in self.slots if not slot.busy), key=lambda slot: self._restorable(slot, prompt))
        if self._restorable(behind, prompt) > held[source.id]:
            target, n = behind, self._restore(behind)
        else:
            target = self._choose(held)
            n = held[source.id]
            if held[target.id] == n or not self._bring(source, target, n, held[target.id]):
                n = min(held[target.id], len(target.cells))
                n = n if self.cut(target, n) else 0
        target.busy = True
        return target, n

    def keep_state(self, slot: Slot) -> None:
        """Keep the state after a prompt, where it is one that cannot be cut back. The next turn of a conversation often
        goes on from the prompt before and not from the whole answer: its thinking is left out."""
        if not self._context.can_cut:
            state = self._context.save_state(slot.id, MAX_CHECKPOINT)
            slot.checkpoint = (len(slot.cells), state) if state else None

    def catch_up(self, slot: Slot, prompt: Cells[int]) -> int:
        """Let a slot that holds the beginning of `prompt` share more of it, where another slot has come to hold more.
        How much it holds now."""
        held = [self._usable(other, prompt) for other in self.slots]
        source = self.slots[int(np.argmax(held))]
        if held[source.id] > len(slot.cells):
            self._bring(source, slot, held[source.id], len(slot.cells))
        return len(slot.cells)

    def release(self, slot: Slot) -> None:
        """The sequence in it has ended; what it holds may be taken over, or overwritten, from now on."""
        if slot.unbroken is not None:
            self.cut(slot, slot.unbroken)
        slot.busy = False
        slot.used_at = time.monotonic()

    def cut(self, slot: Slot, n: int) -> bool:
        """Forget all but the first `n` cells, also what a failed decode left after the last of them. False where the
        model cannot forget in part: then the slot is empty now."""
        kept = n == 0 or self._context.keep_prefix(slot.id, slot.position(n))
        if not kept or n == 0:
            self._context.forget(slot.id)
            n = 0
        self._limit(slot, n)
        del slot.cells[n:]
        if slot.unbroken is not None and slot.unbroken >= n:
            slot.unbroken = None
        if slot.checkpoint and slot.checkpoint[0] > n:
            slot.checkpoint = None
        return kept

    def shift(self, slot: Slot, keep: int) -> bool:
        """Make room in a full context: after the first `keep` cells drop the older half of the rest, images as a
        whole. False where that cannot be done."""
        keep = whole(slot.cells, min(max(keep, 0), len(slot.cells) - 2))
        n = whole_after(slot.cells, keep + (len(slot.cells) - keep) // 2) - keep
        if not self._unshare(slot, keep + n):
            return False
        start = slot.position(keep)
        if not self._context.discard(slot.id, start, slot.position(keep + n) - start):
            return False
        self._limit(slot, keep)
        del slot.cells[keep : keep + n]
        slot.checkpoint = None
        slot.unbroken = keep if slot.unbroken is None else min(keep, slot.unbroken)
        return True

    def reclaim(self) -> bool:
        """Empty the finished slot used longest ago, one that frees cells if there is one; False where that helps
        nobody: all are empty, or each has cells of its own."""
        if not self._context.unified:
            return False
        idle = sorted((s for s in self.slots if not s.busy and s.cells), key=lambda slot: slot.used_at)
        if not idle:
            return False
        self.cut(next((slot for slot in idle if self._own(slot)), idle[0]), 0)
        return True

    def clear(self) -> None:
        """Empty every slot, live ones too, and overwrite what the cells held."""
        self._context.forget_all()
        self._shared[:] = 0
        for slot in self.slots:
            del slot.cells[:]
            slot.unbroken = slot.checkpoint = None

    def _usable(self, slot: Slot, prompt: Cells[int]) -> int:
        """How many leading cells of the slot `prompt` could go on from. No image is continued in its middle: its
        cells may look at each other, or share positions."""
        n = whole(prompt, min(common_prefix(slot.cells, prompt), len(prompt) - 1))
        if slot.unbroken is not None:
            n = min(n, slot.unbroken)
        return n if n and self._context.can_keep(slot.id, slot.position(n)) else 0

    def _restorable(self, slot: Slot, prompt: Cells[int]) -> int:
        """How many leading cells of a free slot `prompt` could go on from if its kept state were put back."""
        n = slot.checkpoint[0] if slot.checkpoint and not slot.busy else 0
        return n if n <= min(common_prefix(slot.cells, prompt), len(prompt) - 1) else 0

    def _restore(self, slot: Slot) -> int:
        """Put the kept state back; how many cells the slot holds now."""
        assert slot.checkpoint
        n, state = slot.checkpoint
        if not self._context.restore_state(slot.id, state, slot.position(n)):
            n, slot.checkpoint = 0, None
        self._limit(slot, n)
        del slot.cells[n:]
        return n

    def _choose(self, held: list[int]) -> Slot:
        """The free slot whose present content is worth least; `held` is what each holds of the prompt."""
        longest = max(held)
        busy = [slot.id for slot in self.slots if slot.busy]

        def little(kept: int) -> float:
            return LITTLE if self._context.unified else max(LITTLE, kept * LITTLE_OF_MANY)

        def cost(slot: Slot) -> tuple[int, float]:
            kept = held[slot.id]
            lost = max(0, len(slot.cells) - max(kept, int(self._shared[slot.id].max())))
            if 0 < kept == longest and lost <= little(kept):
                return (0, lost)
            if not lost and not self._context.unified:  # neighbouring streams are decoded at once
                return (1, min((abs(slot.id - other) for other in busy), default=0))
            if not lost:
                return (1, slot.used_at)
            if kept == longest and lost <= kept:
                return (2, slot.used_at)
            return (3, slot.used_at)

        return min((slot for slot in self.slots if not slot.busy), key=cost)

    def _bring(self, source: Slot, target: Slot, n: int, held: int) -> bool:
        """Let `target`, which holds the first `held` of them, hold the first `n` cells of `source`. False, and nothing
        changed unless it failed, where that is not worth it."""
        if self._context.unified:
            self._share(source, target, n)
            return True
        used = len(source.cells)
        if self._context.copy_cells(used) > (n - held) * COPIES_PER_TOKEN:
            return False
        self.cut(target, 0)
        if not self._context.copy_prefix(source.id, target.id, source.position(n), source.position(used)):
            return False
        target.cells = source.cells[:n]
        return True

    def _share(self, source: Slot, target: Slot, n: int) -> None:
        self.cut(target, 0)
        self._context.share_prefix(source.id, target.id, source.position(n))
        target.cells = source.cells[:n]
        row = np.minimum(self._shared[source.id], n)
        row[source.id], row[target.id] = n, 0
        self._shared[target.id, :] = self._shared[:, target.id] = row

    def _unshare(self, slot: Slot, start: int) -> bool:
        """See to it that no other slot holds the slot's cells from number `start` on: they are about to be moved.

        Finished slots give them up; beside a live one the slot gets cells of its own.
        """
        holders = [other for other in self.slots if self._shared[slot.id, other.id] > start]
        if not any(other.busy for other in holders):
            for other in holders:
                self.cut(other, start)
            return True
        self._limit(slot, 0)
        if self._context.unshare(slot.id):
            return True
        del slot.cells[:]
        return False

    def _own(self, slot: Slot) -> int:
        """How many cells the slot shares with nobody."""
        return len(slot.cells) - int(self._shared[slot.id].max())

    def _limit(self, slot: Slot, n: int) -> None:
        """The slot shares no more than its first `n` cells with anybody from now on."""
        self._shared[slot.id, :] = self._shared[:, slot.id] = np.minimum(self._shared[slot.id], n)
