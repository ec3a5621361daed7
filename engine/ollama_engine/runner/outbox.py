"""What the steps have produced, on its way to the parent.

A small model makes a token in less time than it takes to wake the parent, who then takes a core from the next step.
So the text of steps that follow each other quickly is sent together; no text waits longer than the step after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ollama_engine.runner.protocol import Done, Piece, Step

HOLD = 0.004
"""Seconds between two frames while steps are quicker than that. Far below what a reader or a terminal notices."""


class Outbox:
    def __init__(self, send: Callable[[Step], None]) -> None:
        self._send = send
        self._pieces: dict[int, Piece] = {}
        self._sent_at = 0.0

    def put(self, step: Step) -> None:
        """Take a step's results. They leave at once where one of them ends a request, or nothing left just before."""
        for piece in step.pieces:
            held = self._pieces.get(piece.id)
            if held is None:
                self._pieces[piece.id] = piece
            else:
                held.text += piece.text
                held.n += piece.n
                held.logprobs += piece.logprobs
        if step.done or time.monotonic() - self._sent_at >= HOLD:
            self.flush(step.done)

    def flush(self, done: list[Done] | None = None) -> None:
        """Send what is held; call it before anything that takes long."""
        if self._pieces or done:
            self._send(Step(list(self._pieces.values()), done or []))
            self._pieces.clear()
            self._sent_at = time.monotonic()
