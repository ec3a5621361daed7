"""The binding: the few things the runner needs of llama.cpp, as small classes. The only importer of llama_cpp.

It stands on llama-cpp-python's low-level API, whose signatures follow llama.cpp's C header and change between
releases: the dependency is pinned to one exact version, and a new one is tried against tests/engine/runner first.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray

from ollama_engine.runner import amx
from ollama_engine.runner.protocol import LoadSpec, SpecialTokens

if TYPE_CHECKING:
    import llama_cpp.llama_cpp as C
else:
    # llama_cpp/__init__.py imports the high-level API: chat formats, disk caches and templates that nobody uses here,
    # and with them 0.3 s and 40 MB in every runner. A bare package object in its place leaves the binding alone.
    if "llama_cpp" not in sys.modules:
        _spec = importlib.util.find_spec("llama_cpp")
        if _spec is None or not _spec.submodule_search_locations:
            raise ImportError("llama-cpp-python is not installed")
        _package = types.ModuleType("llama_cpp")
        _package.__path__ = list(_spec.submodule_search_locations)
        sys.modules["llama_cpp"] = _package
    import llama_cpp.llama_cpp as C

__all__ = [
    "DECODE_ABORTED",
    "DECODE_NO_SLOT",
    "AbortFlag",
    "C",
    "EmbeddingBatch",
    "LlamaBatch",
    "LlamaContext",
    "LlamaError",
    "LlamaGrammar",
    "LlamaModel",
    "LlamaSampler",
    "context_params",
    "ggml_library",
    "set_log",
    "usable_cores",
]

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
"""Tokens that llama.cpp computes at once; a longer batch is cut into pieces of these, as llama-bench does."""

BYTES_PER_THREAD = 8 * 1024 * 1024
"""Weights that make a thread worth its while for a single token. Below, threads lose more in waiting for each other
than they gain, and take the core on which the answer is passed on (docs/performance.md)."""


class LlamaError(Exception):
    """llama.cpp refused; the log has the reason."""


def ggml_library() -> ctypes.CDLL:
    """ggml itself, under llama.cpp: its device API, which the binding leaves out."""
    import llama_cpp._ggml

    return llama_cpp._ggml.libggml


def set_log(callback: Callable[[int, str], None]) -> object:
    """Send llama.cpp's log to `callback(level, text)`; keep what this returns for as long as the library is used."""

    @C.llama_log_callback
    def forward(level: int, text: bytes, _user_data: int) -> None:
        callback(level, text.decode("utf-8", "replace"))

    C.llama_log_set(forward, ctypes.c_void_p())
    return forward


class LlamaModel:
    """Weights and vocabulary of one GGUF (all its shards)."""

    def __init__(self, spec: LoadSpec, on_progress: Callable[[float], bool]) -> None:
        """Load; `on_progress(fraction)` returning False gives up. LlamaError where it does not load."""
        self._keep = amx.forbid() if not spec.use_amx and amx.is_present() else None
        C.llama_backend_init()
        params = C.llama_model_default_params()
        if spec.n_gpu_layers >= 0:
            params.n_gpu_layers = spec.n_gpu_layers
        if spec.main_gpu is not None:
            params.main_gpu = spec.main_gpu
            params.split_mode = C.LLAMA_SPLIT_MODE_NONE
        if spec.use_mmap is not None:
            params.load_mode = C.LLAMA_LOAD_MODE_MMAP if spec.use_mmap else C.LLAMA_LOAD_MODE_NONE

        @C.llama_progress_callback
        def progress(fraction: float, _user_data: int) -> bool:
            return on_progress(fraction)

        params.progress_callback = progress
        paths = [path.encode() for path in spec.model_paths]
        if len(paths) == 1:
            handle = C.llama_model_load_from_file(paths[0], params)
        else:
            array = (ctypes.c_char_p * len(paths))(*paths)
            handle = C.llama_model_load_from_splits(array, len(paths), params)
        if not handle:
            raise LlamaError("the model did not load")
        self.handle: Any = handle
        self.vocab: Any = C.llama_model_get_vocab(handle)
        self.n_vocab = C.llama_vocab_n_tokens(self.vocab)
        self.n_ctx_train = C.llama_model_n_ctx_train(handle)
        self.n_layers = C.llama_model_n_layer(handle)
        self.size = C.llama_model_size(handle)
        """Bytes of all tensors."""
        self.bos = C.llama_vocab_bos(self.vocab)
        self._adapters = [(self._load_adapter(adapter.path), adapter.scale) for adapter in spec.adapters]
        self._pieces: dict[int, bytes] = {}

    @property
    def description(self) -> str:
        buffer = ctypes.create_string_buffer(256)
        C.llama_model_desc(self.handle, buffer, 256)
        return buffer.value.decode("utf-8", "replace")

    @property
    def special_tokens(self) -> SpecialTokens:
        return SpecialTokens(
            bos=cast(int, self.bos),
            eos=cast(int, C.llama_vocab_eos(self.vocab)),
            sep=cast(int, C.llama_vocab_sep(self.vocab)),
            add_bos=C.llama_vocab_get_add_bos(self.vocab),
            add_eos=C.llama_vocab_get_add_eos(self.vocab),
            add_sep=C.llama_vocab_get_add_sep(self.vocab),
        )

    def _load_adapter(self, path: str) -> Any:
        """A LoRA adapter beside the weights, which own it; before any context is made, whose graph it makes larger."""
        adapter = C.llama_adapter_lora_init(self.handle, path.encode())
        if not adapter:
            raise LlamaError(f"the adapter {os.path.basename(path)} did not load")
        if C.llama_adapter_get_alora_n_invocation_tokens(adapter):
            raise LlamaError(
                f"the adapter {os.path.basename(path)} is an activated one (aLoRA), which begins to count in the "
                "middle of a prompt; only plain LoRA adapters can be used"
            )
        return adapter

    def apply_adapters(self, context: Any) -> None:
        """Add the adapters, each times its scale, to what `context` (a llama_context) computes from now on."""
        if not self._adapters:
            return
        adapters = (C.llama_adapter_lora_p_ctypes * len(self._adapters))()
        for number, (adapter, _) in enumerate(self._adapters):
            adapters[number] = ctypes.cast(adapter, C.llama_adapter_lora_p_ctypes)
        scales = (ctypes.c_float * len(self._adapters))(*(scale for _, scale in self._adapters))
        if C.llama_set_adapters_lora(context, adapters, len(self._adapters), scales):
            raise LlamaError("the adapters could not be applied")

    def is_end(self, token: int) -> bool:
        return C.llama_vocab_is_eog(self.vocab, token)

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Token ids. Where the text begins with the model's BOS itself, no second one is put before it."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            n = C.llama_tokenize(self.vocab, data, len(data), tokens, room, add_special, parse_special)
            if n >= 0:
                break
            room = -n
        ids = list(tokens[:n])
        if add_special and len(ids) > 1 and ids[0] == ids[1] == self.bos:
            del ids[0]
        return ids

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text that tokenizes to `tokens` again, control tokens written out."""
        return b"".join(self._read_piece(token, special=True) for token in tokens).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; none for control tokens, which are not text."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def control_piece(self, token: int) -> bytes:
        """The bytes that a control token is written as."""
        return self._read_piece(token, special=True)

    def any_piece(self, token: int) -> bytes:
        """The bytes a token is written as, a control token's too."""
        return self.piece(token) or self.control_piece(token)

    def control_token(self, text: str) -> int | None:
        """The token that `text` is the writing of; None where it takes several, or is ordinary text."""
        tokens = self.tokenize(text, add_special=False, parse_special=True)
        return tokens[0] if len(tokens) == 1 and not self.piece(tokens[0]) else None

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            n = C.llama_token_to_piece(self.vocab, token, buffer, room, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            room = -n


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


def context_params(spec: LoadSpec) -> Any:
    """Parameters of a context that do not depend on what it is for: threads, cache type, flash attention."""
    params = C.llama_context_default_params()
    params.no_perf = True
    params.n_threads = params.n_threads_batch = spec.n_threads if spec.n_threads > 0 else usable_cores()
    if spec.kv_cache_type:
        params.type_k = params.type_v = KV_TYPES[spec.kv_cache_type]
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


class LlamaContext:
    """The KV cache and compute buffers over a model."""

    def __init__(self, model: LlamaModel, spec: LoadSpec) -> None:
        params = context_params(spec)
        if spec.n_threads <= 0:
            params.n_threads = min(params.n_threads_batch, max(1, model.size // BYTES_PER_THREAD))
        n_ctx = min(spec.n_ctx, model.n_ctx_train) if model.n_ctx_train > 0 else spec.n_ctx
        params.n_ctx = n_ctx * spec.n_seq
        params.n_batch = max(spec.n_batch, spec.n_seq)
        # An image whose cells look at each other is computed at once; it would end the process where it cannot be.
        params.n_ubatch = params.n_batch if spec.projector_paths else min(params.n_batch, UBATCH)
        params.n_seq_max = spec.n_seq
        # Rows with logits in one batch: at most the last token of each sequence. llama.cpp reserves for n_batch else.
        params.n_outputs_max = spec.n_seq
        params.kv_unified = True
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
        self._window = cast(int, C.llama_model_n_swa(model.handle))
        """Tokens that some of the layers look back; 0 where all look at everything."""

    def decode(self, batch: LlamaBatch | EmbeddingBatch, *, causal: bool = True) -> int:
        """llama_decode's code: 0 done, 1 no room in the KV cache, 2 aborted, negative failed.

        Not `causal`: what is in the batch looks at all of it, not only at what came before.
        """
        batch.struct.n_tokens = batch.n_tokens
        if causal:
            return C.llama_decode(self.handle, batch.struct)
        C.llama_set_causal_attn(self.handle, False)
        try:
            return C.llama_decode(self.handle, batch.struct)
        finally:
            C.llama_set_causal_attn(self.handle, True)

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


class LlamaSampler:
    """A chain of llama.cpp samplers, applied in the order added. Owns what is added to it."""

    def __init__(self) -> None:
        params = C.llama_sampler_chain_default_params()
        params.no_perf = True
        self.handle: Any = C.llama_sampler_chain_init(params)
        self._history: list[tuple[Any, int]] = []

    def add(self, sampler: Any) -> None:
        if not sampler:
            raise LlamaError("sampler could not be made")
        C.llama_sampler_chain_add(self.handle, sampler)

    def add_history(self, sampler: Any, last_n: int) -> None:
        """Add a sampler that looks back at the `last_n` tokens before, those of the prompt included."""
        self.add(sampler)
        self._history.append((sampler, last_n))

    def prime(self, tokens: Sequence[int]) -> None:
        """Tell the samplers that look back what the prompt was; the others only ever see the answer."""
        for sampler, last_n in self._history:
            for token in tokens[-last_n:]:
                C.llama_sampler_accept(sampler, token)

    def accept(self, token: int) -> None:
        """The token is part of the answer."""
        C.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None
            self._history.clear()


class LlamaGrammar:
    """A grammar and how far an answer has come in it. LlamaError where the text is no GBNF."""

    def __init__(self, model: LlamaModel, text: str) -> None:
        self.handle: Any = C.llama_sampler_init_grammar(model.vocab, text.encode(), b"root")
        if not self.handle:
            raise LlamaError("the grammar is not valid GBNF, or has no rule 'root'")
        self._one = (C.llama_token_data * 1)()
        self._arrays = (C.llama_token_data_array * 1)()
        self._array: Any = self._arrays[0]
        self._array.data = ctypes.cast(self._one, C.llama_token_data_p)

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with `token`, or end where that is an end token."""
        self._one[0].id, self._one[0].logit = token, 0.0
        self._array.size, self._array.selected, self._array.sorted = 1, -1, False
        C.llama_sampler_apply(self.handle, self._arrays)
        return self._one[0].logit == 0.0

    def accept(self, token: int) -> None:
        """Go on by a token that is allowed: llama.cpp ends the process at any other."""
        C.llama_sampler_accept(self.handle, token)

    def reset(self) -> None:
        """Back to the beginning."""
        C.llama_sampler_reset(self.handle)

    def close(self) -> None:
        if self.handle:
            C.llama_sampler_free(self.handle)
            self.handle = None


def usable_cores() -> int:
    """Cores this process may run on, hyperthreads counted once where that can be known."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))
