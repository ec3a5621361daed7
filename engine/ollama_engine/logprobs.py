"""Log probabilities of a runner as they stand on the wire. Used by inference.py."""

from __future__ import annotations

from collections.abc import Sequence

from ollama_engine.runner import protocol
from ollama_engine.types import Logprob, TokenLogprob


def on_the_wire(logprobs: Sequence[protocol.Logprob]) -> list[Logprob] | None:
    """None where there are none: the field is left out then."""
    return [_one(logprob) for logprob in logprobs] or None


def _one(logprob: protocol.Logprob) -> Logprob:
    chosen = logprob.chosen
    return Logprob(
        token=_text(chosen.piece),
        logprob=chosen.logprob,
        bytes=list(chosen.piece),
        top_logprobs=[
            TokenLogprob(token=_text(top.piece), logprob=top.logprob, bytes=list(top.piece)) for top in logprob.top
        ]
        or None,
    )


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")
