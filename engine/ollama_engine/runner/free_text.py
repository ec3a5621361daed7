"""Thinking first, the grammar after, in one pass: a sampler whose grammar does not hold from the beginning.

`sampler_chain.build_sampler` makes one where a request has both a grammar and a free part; to the batcher it is a
sampler like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ollama_engine.runner.candidates import Logits
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import FreeText
from ollama_engine.runner.token_sampler import TokenSampler

MAX_SPACE = 16
"""Bytes of white space before the opening marker that are taken for nothing."""
MAX_TRIES = 64
"""How often another token is drawn where one holds the closing marker and text behind it."""


class FreeTextSampler:
    """Samples without the grammar up to and with `free.close`, and with it from there on.

    An answer that begins with anything but `free.open` keeps to the grammar from its first token.

    Args:
        sampler: one with a grammar; this one closes it.
    """

    def __init__(self, free: FreeText, sampler: TokenSampler, model: LlamaModel) -> None:
        self._open, self._close = free.open.encode(), free.close.encode()
        self._sampler = sampler
        self._model = model
        self._phase: Literal["deciding", "thinking", "held"] = "thinking" if free.inside else "deciding"
        self._text = b""
        """Of the answer; once it thinks, as much of its end as may hold the beginning of the closing marker."""
        self._begun: list[int] = []
        """Tokens of the answer while it is not decided whether it thinks."""

    @property
    def is_heavy(self) -> bool:
        return self._sampler.is_heavy

    def prime(self, tokens: Sequence[int]) -> None:
        self._sampler.prime(tokens)

    def sample(self, logits: Logits) -> int:
        """As TokenSampler's."""
        self._sampler.apply_bias(logits)
        held = self._phase == "held"
        if held:
            token = self._sampler.draw(logits, held=True)
        elif self._phase == "deciding":
            token, held = self._decide(logits)
        else:
            token = self._think(logits)
        self._sampler.accept(token, held=held)
        return token

    def close(self) -> None:
        self._sampler.close()

    # -- the beginning -----------------------------------------------------------------------------------------

    def _decide(self, logits: Logits) -> tuple[int, bool]:
        """The next token, and whether the grammar is to have it."""
        token = self._sampler.draw(logits, held=False)
        text = (self._text + self._model.any_piece(token)).lstrip()
        begins = not self._model.is_end(token) and (self._open.startswith(text) or text.startswith(self._open))
        if begins and len(self._text) < MAX_SPACE + len(self._open):
            return self._begin(token), False
        if self._holds_so_far():
            self._phase = "held"
            return self._sampler.draw(logits, held=True), True
        # What stands there can only become the opening marker: the model said half of it.
        rest = self._open.removeprefix(self._text.lstrip()).decode("utf-8", "replace")
        return self._begin(self._model.tokenize(rest, add_special=False, parse_special=True)[0]), False

    def _begin(self, token: int) -> int:
        self._text += self._model.any_piece(token)
        self._begun.append(token)
        text = self._text.lstrip()
        if text.startswith(self._open):
            self._text = text.removeprefix(self._open)
            self._phase = "held" if self._close in self._text else "thinking"  # one token may open and close
        return token

    def _holds_so_far(self) -> bool:
        """Whether the grammar takes what the answer began with; it has then. White space alone counts for nothing."""
        if not self._text.strip():
            return True
        grammar = self._sampler.grammar
        assert grammar is not None  # build_sampler makes none of these without
        for token in self._begun:
            if not grammar.allows(token):
                grammar.reset()
                return False
            grammar.accept(token)
        return True

    # -- thinking ----------------------------------------------------------------------------------------------

    def _think(self, logits: Logits) -> int:
        token = self._sampler.draw(logits, held=False)
        for _ in range(MAX_TRIES):
            _, _, behind = (self._text + self._model.any_piece(token)).partition(self._close)
            if not behind.strip():
                break
            # Nobody has held what stands behind the marker: let the model say it in a token of its own.
            logits[token] = float("-inf")
            token = self._sampler.draw(logits, held=False)
        text = self._text + self._model.any_piece(token)
        if self._close in text:
            self._phase = "held"
        self._text = text[-len(self._close) :]
        return token
