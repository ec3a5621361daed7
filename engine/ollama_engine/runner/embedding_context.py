"""llama.cpp's context for pooled embeddings: several inputs in one batch, one vector (or score) for each.

Used by embedder.py alone. Models without a KV cache (BERT and its kin) are encoded, the others decoded.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.llama_context import AbortFlag, Threads, context_params
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import LoadSpec

POOLING_TYPES = {
    "mean": C.LLAMA_POOLING_TYPE_MEAN,
    "cls": C.LLAMA_POOLING_TYPE_CLS,
    "last": C.LLAMA_POOLING_TYPE_LAST,
    "rank": C.LLAMA_POOLING_TYPE_RANK,
}


class EmbeddingContext:
    """Compute buffers, and a KV cache where the model wants one, for one batch of inputs at a time."""

    def __init__(self, model: LlamaModel, spec: LoadSpec) -> None:
        """LlamaError where llama.cpp refuses."""
        params = context_params(spec)
        n_ctx = min(spec.n_ctx, model.n_ctx_train) if model.n_ctx_train > 0 else spec.n_ctx
        # A recurrent state is as large as many tokens: one for each sequence that might be there would be a waste.
        n_seq = 1 if C.llama_model_is_recurrent(model.handle) or C.llama_model_is_hybrid(model.handle) else spec.n_seq
        params.n_seq_max = min(n_seq, C.llama_max_parallel_sequences())
        params.n_batch = params.n_ubatch = max(spec.n_batch, params.n_seq_max)
        params.n_ctx = max(n_ctx, params.n_batch)
        params.kv_unified = True
        params.embeddings = True
        params.pooling_type = POOLING_TYPES[spec.pooling]
        self._abort = AbortFlag(params)
        handle = C.llama_init_from_model(model.handle, params)
        if not handle:
            raise LlamaError("the context could not be made")
        self.handle: Any = handle
        model.apply_adapters(handle)
        self.model = model
        self.n_ctx = n_ctx
        self.n_seq = int(params.n_seq_max)
        self.n_batch = C.llama_n_batch(handle)
        self._memory: Any = C.llama_get_memory(handle)
        self._encodes = not self._memory or C.llama_model_has_encoder(model.handle)
        ranks = spec.pooling == "rank"
        self.width = int(C.llama_model_n_cls_out(model.handle) if ranks else C.llama_model_n_embd_out(model.handle))
        self._threads = Threads(spec, params)
        self.can_split = spec.pooling == "last" and not self._encodes
        """Whether an input may come in several batches: its last token then sees all of it through the KV cache. The
        others need the whole input in one, and so does a model that looks ahead (its `n_batch` is its context)."""

    def clear(self) -> None:
        """Forget the inputs before; their vectors must have been read."""
        if self._memory:
            C.llama_memory_clear(self._memory, False)

    def compute(self, batch: LlamaBatch) -> int:
        """0 done, 2 aborted, anything else failed."""
        self._threads.fit(self.handle)
        batch.struct.n_tokens = batch.n_tokens
        batch.logits[: batch.n_tokens] = 1
        return (C.llama_encode if self._encodes else C.llama_decode)(self.handle, batch.struct)

    def vector(self, seq: int) -> NDArray[np.float32]:
        """A copy of the pooled vector of sequence `seq` in the batch just computed."""
        pointer = C.llama_get_embeddings_seq(self.handle, seq)
        if not pointer:
            raise LlamaError("llama.cpp has no embedding of the input")
        values = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(values, (self.width,)).copy()

    def abort(self, on: bool) -> None:
        """Stop the computation that runs now (from another thread), or allow them again."""
        self._abort.set(on)
