"""Weights and vocabulary."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, cast

from ollama_engine.runner import amx, memlock
from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.model_params import ModelParams, init_numa
from ollama_engine.runner.protocol import LoadSpec, SpecialTokens


class LlamaModel:
    """Weights and vocabulary of one GGUF (all its shards)."""

    def __init__(self, spec: LoadSpec, on_progress: Callable[[float], bool]) -> None:
        """Load; `on_progress(fraction)` returning False gives up. LlamaError where it does not load, CannotLoadSo where
        the spec asks for what is not there."""
        if not spec.use_amx and amx.is_present():
            amx.forbid()
        C.llama_backend_init()
        if spec.numa:
            init_numa(spec.numa)
        if spec.use_mlock:
            memlock.raise_limit()
        self._params = ModelParams(spec, on_progress)
        params = self._params.struct
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

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """Every token that ends an answer; the whole vocabulary is looked through, once."""
        return tuple(filter(self.is_end, range(self.n_vocab)))

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
