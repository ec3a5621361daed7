"""The second binding: llama.cpp's mtmd library, which turns pictures and sound into embeddings for a model of text.

Imported only where a model has a projector; with runner/llama.py the only importer of llama_cpp. It stands on the same
exactly pinned release, and reads the C structs that mtmd.h declares.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import llama_cpp.mtmd_cpp as mtmd_cpp
import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.llama_context import context_params
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.media_files import MediaError, Pixels
from ollama_engine.runner.protocol import LoadSpec

M: Any = mtmd_cpp  # its signatures ask for pointers where ctypes takes arrays and references just as well
_MROPE_SECTIONS = 4


def set_log(callback: Callable[[int, str], None]) -> object:
    """Send mtmd's log to `callback(level, text)`; keep what this returns for as long as the library is used."""

    @C.llama_log_callback
    def forward(level: int, text: bytes, _user_data: int) -> None:
        callback(level, text.decode("utf-8", "replace"))

    M.mtmd_helper_log_set(forward, ctypes.c_void_p())
    return forward


class MediaChunk:
    """A run of cells that one pass of the encoder gives: an image, a tile of one, some seconds of sound."""

    def __init__(self, projector: Projector, handle: Any) -> None:
        self._projector = projector
        self._handle = M.mtmd_input_chunk_copy(handle)
        self._free = weakref.finalize(self, M.mtmd_input_chunk_free, self._handle)
        self.n_cells = int(M.mtmd_input_chunk_get_n_tokens(handle))
        self.n_positions = int(M.mtmd_input_chunk_get_n_pos(handle))
        self.is_causal = not M.mtmd_decode_use_non_causal(projector.handle, handle)
        """False: its cells look at each other, so all of them must be decoded in one batch."""
        self._is_image = M.mtmd_input_chunk_get_type(handle) == M.MTMD_INPUT_CHUNK_TYPE_IMAGE

    def encode(self) -> NDArray[np.float32]:
        """Its embeddings, `n_cells` rows; LlamaError where that fails. One at a time for a projector."""
        if M.mtmd_encode_chunk(self._projector.handle, self._handle) != 0:
            raise LlamaError("the projector could not encode it")
        pointer = M.mtmd_get_output_embd(self._projector.handle)
        if not pointer:
            raise LlamaError("the projector gave no embeddings")
        rows = np.ctypeslib.as_array(pointer, (self.n_cells, self._projector.width)).copy()
        if not np.isfinite(rows).all():
            raise LlamaError("the projector's embeddings are not numbers")
        return rows

    def forget_input(self) -> None:
        """Let the preprocessed pixels or samples go, once they are encoded."""
        placeholder = M.mtmd_input_chunk_get_placeholder(self._handle)
        if placeholder:
            self._free()
            self._handle = placeholder
            self._free = weakref.finalize(self, M.mtmd_input_chunk_free, placeholder)

    def positions(self, start: int) -> NDArray[np.int32]:
        """Positions of its cells in a sequence whose next one is `start`: `n_cells`, or with M-RoPE 4 rows of them."""
        if not self._projector.uses_mrope:
            return np.arange(start, start + self.n_cells, dtype=np.int32)
        if not self._is_image:
            return np.tile(np.arange(start, start + self.n_cells, dtype=np.int32), (_MROPE_SECTIONS, 1))
        found = (M.mtmd_decoder_pos * self.n_cells)()
        M.mtmd_helper_image_get_decoder_pos(M.mtmd_input_chunk_get_tokens_image(self._handle), start, found)
        table = np.frombuffer(found, np.uint32).reshape(self.n_cells, 4)
        return np.ascontiguousarray(table[:, [0, 2, 1, 3]].T.astype(np.int32))  # llama.cpp's order is t, y, x, z


class Projector:
    """One projector file, loaded for one model."""

    def __init__(self, path: str, model: LlamaModel, spec: LoadSpec) -> None:
        """LlamaError where it does not load, or does not fit the model."""
        params = M.mtmd_context_params_default()
        params.use_gpu = spec.may_offload
        params.print_timings = False
        params.n_threads = context_params(spec).n_threads
        if spec.image_min_tokens:
            params.image_min_tokens = spec.image_min_tokens
        params.warmup = True  # finds out here, and not at the first image, whether the buffers can be had
        handle = M.mtmd_init_from_file(path.encode(), model.handle, params)
        if not handle:
            raise LlamaError("the projector did not load")
        self.handle: Any = handle
        self.sees = bool(M.mtmd_support_vision(handle))
        self.hears = bool(M.mtmd_support_audio(handle))
        self.uses_mrope = bool(M.mtmd_decode_use_mrope(handle))
        self.sample_rate = int(M.mtmd_get_audio_sample_rate(handle))
        self.width = int(C.llama_model_n_embd_inp(model.handle))

    def read_picture(self, pixels: Pixels) -> list[list[int] | MediaChunk]:
        """The picture as the model is to see it: runs of cells, and the tokens that stand around and between them."""
        return self._read(M.mtmd_bitmap_init(pixels.width, pixels.height, _address(pixels.data)))

    def read_sound(self, data: bytes) -> list[list[int] | MediaChunk]:
        """As `read_picture`, of a WAV, MP3 or FLAC file."""
        bitmap = M.mtmd_helper_bitmap_init_from_buf(self.handle, _address(data), len(data), False)
        if not bitmap:
            raise MediaError("the sound does not decode")
        return self._read(bitmap)

    def _read(self, bitmap: Any) -> list[list[int] | MediaChunk]:
        if not bitmap:
            raise MediaError("there is not enough memory for it")
        part = M.mtmd_input_part(text=None, bitmap=bitmap)
        parts = (ctypes.POINTER(M.mtmd_input_part) * 1)(ctypes.pointer(part))
        chunks = M.mtmd_input_chunks_init()
        try:
            if M.mtmd_tokenize_from_parts(self.handle, chunks, parts, 1, False) != 0 or not chunks:
                raise MediaError("the model's projector cannot take it")
            return [self._piece(M.mtmd_input_chunks_get(chunks, i)) for i in range(M.mtmd_input_chunks_size(chunks))]
        finally:
            M.mtmd_input_chunks_free(chunks)
            M.mtmd_bitmap_free(bitmap)

    def _piece(self, chunk: Any) -> list[int] | MediaChunk:
        if M.mtmd_input_chunk_get_type(chunk) != M.MTMD_INPUT_CHUNK_TYPE_TEXT:
            return MediaChunk(self, chunk)
        n = ctypes.c_size_t()
        tokens = M.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(n))
        return [int(tokens[i]) for i in range(n.value)] if tokens else []


def _address(data: bytes) -> Any:
    """Where the bytes lie, for as long as the caller holds them."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
