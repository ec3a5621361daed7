"""A chain of llama.cpp's samplers, and a grammar beside it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.llama_model import LlamaModel


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
