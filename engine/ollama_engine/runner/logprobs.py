"""Log probabilities of a token and of the likeliest ones in its place, from the raw logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ollama_engine.runner.candidates import Logits, likeliest
from ollama_engine.runner.protocol import Logprob, TokenLogprob


class Distribution:
    """The softmax of a row of logits. Make it before anything changes them."""

    def __init__(self, logits: Logits, top: int) -> None:
        self._logits = logits.copy()
        peak = self._logits.max()
        self._log_sum = float(peak + np.log(np.exp(self._logits - peak, dtype=np.float64).sum()))
        self._top = self._largest(top)

    def of(self, token: int, piece: Callable[[int], bytes]) -> Logprob:
        """The token's, with the `top` likeliest, best first; of equals the lower number."""
        return Logprob(self._one(token, piece), [self._one(other, piece) for other in self._top])

    def _one(self, token: int, piece: Callable[[int], bytes]) -> TokenLogprob:
        return TokenLogprob(piece(token), float(self._logits[token]) - self._log_sum)

    def _largest(self, n: int) -> list[int]:
        if not n:
            return []
        some = likeliest(self._logits, n)
        tokens = np.arange(len(self._logits)) if some is None else some
        order = np.argsort(-self._logits[tokens], kind="stable")[:n]
        return tokens[order].tolist()
