"""Thinking first, the grammar after, in one pass: two sampler chains, of which one has the grammar.

`sampler_chain.build_chain` makes one where a request has both a grammar and a free part; to the batcher it is a sampler
like any other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, Literal

from ollama_engine.runner.llama import C, LlamaContext, LlamaModel, LlamaSampler
from ollama_engine.runner.protocol import FreeText

MAX_SPACE = 16
"""Bytes of white space before the opening marker that are taken for nothing."""
MAX_TRIES = 64
"""How often another token is drawn where one holds the closing marker and text behind it."""


class FreeTextSampler:
    """Samples without the grammar up to and with `free.close`, and with it from there on.

    An answer that begins with anything but `free.open` keeps to the grammar from its first token.

    Args:
        unheld: the chain without the grammar.
        held: the same with the grammar, which is `grammar`.
    """

    def __init__(
        self, free: FreeText, unheld: LlamaSampler, held: LlamaSampler, grammar: Any, model: LlamaModel
    ) -> None:
        self._open, self._close = free.open.encode(), free.close.encode()
        self._unheld, self._held, self._grammar = unheld, held, grammar
        self._model = model
        self._phase: Literal["deciding", "thinking", "held"] = "thinking" if free.inside else "deciding"
        self._text = b""
        """Of the answer; once it thinks, as much of its end as may hold the beginning of the closing marker."""
        self._tokens: list[int] = []
        """Prompt and answer, for the samplers of `held` that look back."""
        self._begun: list[int] = []
        """Tokens of the answer while it is not decided whether it thinks."""

    def prime(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)
        self._unheld.prime(tokens)

    def sample(self, context: LlamaContext, row: int) -> int:
        if self._phase == "held":
            return self._held.sample(context, row)
        token = self._decide(context, row) if self._phase == "deciding" else self._think(context, row)
        self._tokens.append(token)
        return token

    def close(self) -> None:
        self._unheld.close()
        self._held.close()

    def _piece(self, token: int) -> bytes:
        return self._model.piece(token) or self._model.control_piece(token)

    # -- the beginning -----------------------------------------------------------------------------------------

    def _decide(self, context: LlamaContext, row: int) -> int:
        token = self._unheld.sample(context, row)
        text = (self._text + self._piece(token)).lstrip()
        begins = not self._model.is_end(token) and (self._open.startswith(text) or text.startswith(self._open))
        if begins and len(self._text) < MAX_SPACE + len(self._open):
            return self._begin(token)
        if self._holds_so_far():
            self._hold()
            return self._held.sample(context, row)
        # What stands there can only become the opening marker: the model said half of it.
        rest = self._open.removeprefix(self._text.lstrip()).decode("utf-8", "replace")
        return self._begin(self._model.tokenize(rest, add_special=False, parse_special=True)[0])

    def _begin(self, token: int) -> int:
        self._text += self._piece(token)
        self._begun.append(token)
        text = self._text.lstrip()
        if text.startswith(self._open):
            self._phase = "thinking"
            self._text = text.removeprefix(self._open)
            if self._close in self._text:  # one token that opens and closes
                self._hold()
        return token

    def _holds_so_far(self) -> bool:
        """Whether the grammar takes what the answer began with; it has then."""
        for token in self._begun:
            if not self._accepts(token):
                return False
            C.llama_sampler_accept(self._grammar, token)
        return True

    def _accepts(self, token: int) -> bool:
        data = (C.llama_token_data * 1)(C.llama_token_data(token, 0.0, 0.0))
        candidates = (C.llama_token_data_array * 1)()
        candidates[0].data = ctypes.cast(data, C.llama_token_data_p)
        candidates[0].size, candidates[0].selected, candidates[0].sorted = 1, -1, False
        C.llama_sampler_apply(self._grammar, candidates)
        return data[0].logit == 0.0

    # -- thinking ----------------------------------------------------------------------------------------------

    def _think(self, context: LlamaContext, row: int) -> int:
        token = self._unheld.sample(context, row)
        for _ in range(MAX_TRIES):
            _, _, behind = (self._text + self._piece(token)).partition(self._close)
            if not behind.strip():
                break
            # Nobody has held what stands behind the marker: let the model say it in a token of its own.
            C.llama_get_logits_ith(context.handle, row)[token] = float("-inf")
            token = self._unheld.sample(context, row)
        text = self._text + self._piece(token)
        if self._close in text:
            self._hold()
        self._text = text[-len(self._close) :]
        return token

    def _hold(self) -> None:
        self._phase = "held"
        self._held.prime(self._tokens)
