"""Chooses a request's tokens: bias, sampler chain, grammar. `sampler_chain.build_sampler` makes one for each request.

    draw     a token for a row of logits; nothing that was said before changes
    accept   the token is part of the answer now

The chain sees only the candidates that it could choose, where they can be told beforehand. The grammar is asked about
the one token that was drawn, and about all of the vocabulary only where it refuses that one, as in llama.cpp's own
programs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from ollama_engine.runner.candidates import Candidates, Logits, likeliest, merged
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_sampler import LlamaGrammar, LlamaSampler

STUCK = "no token of the model's vocabulary can go on as the grammar demands"


class TokenSampler:
    """One request's. Owns `chain` and `grammar`.

    Args:
        narrow: how many of the likeliest tokens the chain chooses among, whatever it does; 0 where that cannot be told.
        history: how many of the last tokens the chain's penalties look back at; they may change those tokens' logits.
        greedy: the chain chooses the likeliest token and changes nothing.
        bias: token -> what is added to its logit.
    """

    def __init__(
        self,
        chain: LlamaSampler,
        grammar: LlamaGrammar | None,
        candidates: Candidates,
        *,
        narrow: int,
        history: int = 0,
        greedy: bool = False,
        bias: Mapping[int, float] | None = None,
    ) -> None:
        self.chain = chain
        self.grammar = grammar
        self._candidates = candidates
        self._narrow = narrow
        self._greedy = greedy
        self._recent: deque[int] = deque(maxlen=history)
        self._biased = np.fromiter(bias or (), np.intp)
        self._bias = np.fromiter((bias or {}).values(), np.float32)

    @property
    def is_heavy(self) -> bool:
        """Whether a draw works on the whole vocabulary, which a thread of its own is worth."""
        return not self._greedy and (not self._narrow or self.grammar is not None)

    def prime(self, tokens: Sequence[int]) -> None:
        """Tell what looks back what the prompt was."""
        self.chain.prime(tokens)
        self._recent.extend(tokens)

    def sample(self, logits: Logits) -> int:
        """Draw a token and accept it. `logits`, of the whole vocabulary, are changed by the bias.

        Raises:
            LlamaError: the grammar lets no token through.
        """
        self.apply_bias(logits)
        token = self.draw(logits, held=self.grammar is not None)
        self.accept(token, held=self.grammar is not None)
        return token

    def apply_bias(self, logits: Logits) -> None:
        """Once for each row of logits, before the first `draw` from it."""
        if len(self._biased):
            logits[self._biased] += self._bias

    def draw(self, logits: Logits, *, held: bool) -> int:
        """A token; with `held` one that the grammar allows."""
        token = self._draw(logits)
        if token < 0:  # before the grammar is asked: llama.cpp ends the process at a token that is none
            raise LlamaError("the sampler options leave no token to choose")
        if held and self.grammar is not None and not self.grammar.allows(token):
            return self._draw_held(logits, self.grammar)
        return token

    def accept(self, token: int, *, held: bool) -> None:
        self.chain.accept(token)
        self._recent.append(token)
        if held and self.grammar is not None:
            self.grammar.accept(token)

    def close(self) -> None:
        self.chain.close()
        if self.grammar is not None:
            self.grammar.close()

    def _draw(self, logits: Logits) -> int:
        if self._greedy:
            return int(logits.argmax())
        tokens = None
        if self._narrow:
            recent = set(self._recent)
            tokens = likeliest(logits, self._narrow + len(recent))
            tokens = None if tokens is None else merged(tokens, [*recent])
        self._candidates.fill(logits, tokens)
        self._candidates.apply(self.chain.handle)
        return self._candidates.selected

    def _draw_held(self, logits: Logits, grammar: LlamaGrammar) -> int:
        self._candidates.fill(logits)
        self._candidates.apply(grammar.handle)
        if not self._candidates.drop_impossible():
            raise LlamaError(STUCK)
        self._candidates.apply(self.chain.handle)
        token = self._candidates.selected
        if token < 0 or not grammar.allows(token):
            raise LlamaError(STUCK)
        return token
