"""A context over a model: KV cache, compute buffers, and the decode on them."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import numpy as np

from ollama_engine.runner.cores import usable_cores
from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.llama_batch import EmbeddingBatch, LlamaBatch
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import LoadSpec
from ollama_engine.runner.thread_count import ThreadCount

KV_TYPES = {
    "f32": 0,
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "iq4_nl": 20,
}
"""Cache type names to ggml_type (ggml.h)."""

DECODE_NO_SLOT = 1
DECODE_ABORTED = 2

UBATCH = 512
"""Tokens that llama.cpp computes at once where nobody says how many; a longer batch is cut into pieces of these, as
llama-bench does."""

BYTES_PER_THREAD = 8 * 1024 * 1024
"""Weights that make a thread worth its while for a single token. Below, threads lose more in waiting for each other
than they gain, and take the core on which the answer is passed on (docs/performance.md)."""


def context_params(spec: LoadSpec) -> Any:
    """Parameters of a context that do not depend on what it is for: threads, cache types, flash attention."""
    params = C.llama_context_default_params()
    params.no_perf = True
    params.n_threads = spec.n_threads if spec.n_threads > 0 else usable_cores()
    params.n_threads_batch = spec.n_threads_batch if spec.n_threads_batch > 0 else params.n_threads
    if spec.cache_type_k:
        params.type_k = KV_TYPES[spec.cache_type_k]
    if spec.cache_type_v:
        params.type_v = KV_TYPES[spec.cache_type_v]
    params.offload_kqv = spec.kv_offload
    params.flash_attn_type = {
        None: C.LLAMA_FLASH_ATTN_TYPE_AUTO,
        True: C.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        False: C.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }[spec.flash_attention]
    return params


class AbortFlag:
    """Stops a computation from another thread.

    ggml looks at it at every graph node. A Python callback there would take the GIL thousands of times a step; libc's
    atoi reads the flag instead: "0" goes on, "1" stops. Keep this for as long as a context made of `params` lives.
    """

    def __init__(self, params: Any) -> None:
        self._flag = ctypes.create_string_buffer(b"0")
        self._callback = C.ggml_abort_callback(ctypes.cast(ctypes.CDLL(None).atoi, ctypes.c_void_p).value or 0)
        params.abort_callback = self._callback
        params.abort_callback_data = ctypes.cast(self._flag, ctypes.c_void_p)

    def set(self, on: bool) -> None:
        self._flag[0] = b"1" if on else b"0"


class Threads:
    """How many threads the computations of a context have, fitted to what other programs leave of the cores; where a
    number was asked for it stays."""

    def __init__(self, spec: LoadSpec, params: Any) -> None:
        self._wanted = self._set = (params.n_threads, params.n_threads_batch)
        asked = spec.n_threads > 0 or spec.n_threads_batch > 0
        self._count = None if asked else ThreadCount(max(self._wanted))

    def fit(self, context: Any) -> None:
        """For the next computation of the llama_context."""
        if self._count is None:
            return
        count = self._count.now()
        threads = (min(count, self._wanted[0]), min(count, self._wanted[1]))
        if threads != self._set:
            C.llama_set_n_threads(context, *threads)
            self._set = threads


class LlamaContext:
    """The KV cache and compute buffers over a model."""

    def __init__(self, model: LlamaModel, spec: LoadSpec) -> None:
        params = context_params(spec)
        if spec.n_threads <= 0:
            params.n_threads = min(params.n_threads, max(1, model.size // BYTES_PER_THREAD))
        n_ctx = min(spec.n_ctx, model.n_ctx_train) if model.n_ctx_train > 0 else spec.n_ctx
        params.n_ctx = n_ctx * spec.n_seq
        params.n_batch = max(spec.n_batch, spec.n_seq)
        # An image whose cells look at each other is computed at once; it would end the process where it cannot be.
        params.n_ubatch = params.n_batch if spec.projector_paths else min(params.n_batch, spec.n_ubatch or UBATCH)
        params.n_seq_max = spec.n_seq
        # Rows with logits in one batch: at most the last token of each sequence. llama.cpp reserves for n_batch else.
        params.n_outputs_max = spec.n_seq
        self.unified = (
            (C.llama_supports_gpu_offload() and spec.may_offload) if spec.kv_unified is None else spec.kv_unified
        )
        """Whether sequences share one pool of cells. Else each has a stream of its own, which attention on a CPU reads
        without looking at the others' cells; but only what stands in neighbouring streams is decoded at once."""
        params.kv_unified = self.unified
        params.swa_full = spec.full_windows
        self._abort = AbortFlag(params)
        handle = C.llama_init_from_model(model.handle, params)
        if not handle:
            raise LlamaError("the context could not be made")
        self.handle: Any = handle
        model.apply_adapters(handle)
        self.model = model
        self.memory: Any = C.llama_get_memory(handle)
        # llama.cpp rounds the cells up; a context beyond what was asked or trained for is still none to be used.
        self.n_ctx = min(n_ctx, C.llama_n_ctx(handle) // spec.n_seq)
        self.n_seq = spec.n_seq
        self.n_batch = C.llama_n_batch(handle)
        self.can_shift = bool(self.memory and C.llama_memory_can_shift(self.memory))
        self.can_cut = not (C.llama_model_is_recurrent(model.handle) or C.llama_model_is_hybrid(model.handle))
        """Whether a sequence can be cut back; not where there is a recurrent state."""
        self._threads = Threads(spec, params)
        self._copies_wait = False
        """Whether streams are to be copied when the next decode begins. Until then nobody may read or write the bytes
        of a cell; further copies are made in their order."""
        self._window = cast(int, C.llama_model_n_swa(model.handle))
        """Tokens that some of the layers look back; 0 where all look at everything."""

    def decode(self, batch: LlamaBatch | EmbeddingBatch, *, causal: bool = True) -> int:
        """llama_decode's code: 0 done, 1 no room in the KV cache, 2 aborted, negative failed.

        Not `causal`: what is in the batch looks at all of it, not only at what came before.
        """
        batch.struct.n_tokens = batch.n_tokens
        self._threads.fit(self.handle)
        C.llama_set_causal_attn(self.handle, causal)
        code = C.llama_decode(self.handle, batch.struct)
        self._copies_wait &= code < 0  # a batch that is refused may not have come so far
        return code

    def abort(self, on: bool) -> None:
        """Stop the decode that runs now (from another thread), or allow decodes again."""
        self._abort.set(on)

    def can_keep(self, seq: int, n: int) -> bool:
        """Whether a sequence, cut back to its first `n` positions, still holds all that position `n` will look at.

        A recurrent state (also that of a hybrid model) cannot be cut back at all. A sliding window may have moved on:
        llama.cpp gives the cells behind it to others, and would not refuse to remove the ones in it.
        """
        if n == 0:
            return True
        if not self.can_cut and C.llama_memory_seq_pos_max(self.memory, seq) >= n:
            return False
        return not self._window or 0 <= C.llama_memory_seq_pos_min(self.memory, seq) <= max(0, n - self._window)

    def keep_prefix(self, seq: int, n: int) -> bool:
        """Forget all of a sequence from position `n` on; False, and nothing forgotten, where `can_keep` says no."""
        return self.can_keep(seq, n) and C.llama_memory_seq_rm(self.memory, seq, n, -1)

    def forget(self, seq: int) -> None:
        """Give up all that a sequence holds. Cells that it shares stay with the others."""
        C.llama_memory_seq_rm(self.memory, seq, -1, -1)

    def forget_all(self) -> None:
        """Empty every sequence, and overwrite what the cells held."""
        C.llama_memory_clear(self.memory, True)

    def share_prefix(self, source: int, target: int, n: int) -> None:
        """Let the empty sequence `target` hold the first `n` positions of `source` too: the same cells, not copies of
        them. Ask `can_keep(source, n)` first."""
        C.llama_memory_seq_cp(self.memory, source, target, 0, n)

    def copy_prefix(self, source: int, target: int, n: int, used: int) -> bool:
        """Let `target`, which has a stream of its own, hold copies of the first `n` of the `used` positions of
        `source`. False where that failed, and it is empty now. Ask `can_keep(source, n)` first."""
        if self.copy_cells(used) < self.n_ctx and not self._copies_wait:
            number = ctypes.c_int32(source)
            size = C.llama_state_seq_get_size(self.handle, number)
            state = (ctypes.c_uint8 * size)()
            done = (
                C.llama_state_seq_get_data(self.handle, state, size, number) == size
                and C.llama_state_seq_set_data(self.handle, state, size, ctypes.c_int32(target)) == size
            )
        else:  # the whole stream, by the device itself
            C.llama_memory_seq_cp(self.memory, source, target, -1, -1)
            done = self._copies_wait = True
        if done and C.llama_memory_seq_rm(self.memory, target, n, -1):
            return True
        self.forget(target)
        return False

    def copy_cells(self, used: int) -> int:
        """How many cells `copy_prefix` moves: those in use there and back, or all of a stream."""
        if self._window:  # its state is told without what is behind the window, where the prefix may end
            return self.n_ctx
        return min(2 * used, self.n_ctx)

    def unshare(self, seq: int) -> bool:
        """Move a sequence into cells of its own, bit for bit; False where there was no room, and it is empty now."""
        number = ctypes.c_int32(seq)
        size = C.llama_state_seq_get_size(self.handle, number)
        state = (ctypes.c_uint8 * size)()
        if (
            C.llama_state_seq_get_data(self.handle, state, size, number) == size
            and C.llama_state_seq_set_data(self.handle, state, size, number) == size
        ):
            return True
        self.forget(seq)
        return False

    def save_state(self, seq: int, limit: int) -> Any:
        """The recurrent state of a sequence as it is now, for `restore_state`; None where it has more than `limit`
        bytes. Cells of attention are no part of it: a sequence keeps those."""
        number, partial = ctypes.c_int32(seq), ctypes.c_uint32(C.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        size = C.llama_state_seq_get_size_ext(self.handle, number, partial)
        if not 0 < size <= limit:
            return None
        state = (ctypes.c_uint8 * size)()
        return state if C.llama_state_seq_get_data_ext(self.handle, state, size, number, partial) == size else None

    def restore_state(self, seq: int, state: Any, n: int) -> bool:
        """Put a sequence back to its first `n` positions, where `state` was saved. False where that failed, and the
        sequence is empty now."""
        number, partial = ctypes.c_int32(seq), ctypes.c_uint32(C.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        size = len(state)
        done = C.llama_state_seq_set_data_ext(self.handle, state, size, number, partial) == size
        if done and C.llama_memory_seq_rm(self.memory, seq, n, -1):
            return True
        self.forget(seq)
        return False

    def discard(self, seq: int, start: int, n: int) -> bool:
        """Cut `n` positions out at `start` and move what follows down; False where the model cannot forget in part.

        Moving a cell moves it for every sequence that holds it: none of those that follow may be shared.
        """
        if not C.llama_memory_seq_rm(self.memory, seq, start, start + n):
            return False
        C.llama_memory_seq_add(self.memory, seq, start + n, -1, -n)
        return True

    def logits(self, row: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The logits of row `row` of the batch just decoded, one for each token of the vocabulary. They are llama.cpp's
        own memory, good until the next decode."""
        return np.ctypeslib.as_array(C.llama_get_logits_ith(self.handle, row), (self.model.n_vocab,))

    def is_finite(self, row: int) -> bool:
        """Whether row `row` of the batch just decoded has logits to choose by: no NaN, no positive infinity, and not
        minus infinity alone. Some 10 µs for 128k of them."""
        if not C.llama_get_logits_ith(self.handle, row):
            return False
        # The maximum of numbers one of which is NaN is NaN.
        return bool(np.isfinite(self.logits(row).max()))
