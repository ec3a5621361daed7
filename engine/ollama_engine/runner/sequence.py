"""One request inside the batch (`Sequence`), and one place in the KV cache (`Slot`)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ollama_engine.runner.llama import LlamaSampler
from ollama_engine.runner.protocol import Done, Generate, Piece
from ollama_engine.runner.text_stream import TextStream


@dataclass
class Slot:
    """A sequence id of the KV cache. `tokens` are what its cells hold now, in order of position from 0."""

    id: int
    tokens: list[int] = field(default_factory=list)
    busy: bool = False
    used_at: float = 0.0

    def common_prefix(self, tokens: list[int]) -> int:
        """How many leading tokens the slot has in common with `tokens`."""
        n = 0
        for ours, theirs in zip(self.tokens, tokens, strict=False):
            if ours != theirs:
                break
            n += 1
        return n


class Sequence:
    """A request from the moment it has a slot: first prefill (`pending` prompt tokens), then decode."""

    def __init__(
        self, request: Generate, slot: Slot, sampler: LlamaSampler, cached: int, preserved: dict[int, bytes]
    ) -> None:
        self.request = request
        self.preserved = preserved
        """Control tokens that this answer shows, and how they are written."""
        self.slot = slot
        self.sampler = sampler
        self.text = TextStream(request.stop)
        self.cached = cached
        self.output: list[int] = []
        self.kept: int | None = None
        """Once the context was shifted: how many leading tokens are still those of an unbroken prefill."""
        self.pending = request.tokens[cached:]
        """Tokens still to be decoded: the rest of the prompt, later the one token just sampled."""
        self.row = -1
        """Row of the current batch whose logits are this sequence's; -1 when it has none in this step."""
        self._told = 0
        self._started = time.perf_counter_ns()
        self._first_token = 0

    @property
    def id(self) -> int:
        return self.request.id

    @property
    def in_prefill(self) -> bool:
        return not self.output

    def accept(self, token: int) -> None:
        """The model chose `token`; it is decoded in the next step."""
        if not self.output:
            self._first_token = time.perf_counter_ns()
        self.output.append(token)
        self.pending = [token]

    def piece(self, text: str) -> Piece:
        """`text` as a frame part, with the tokens it took: those without text of their own count with the next."""
        n = len(self.output) - self._told
        self._told = len(self.output)
        return Piece(self.id, text, n)

    @property
    def is_out_of_tokens(self) -> bool:
        return 0 <= self.request.max_tokens <= len(self.output)

    def finish(self, reason: str) -> Done:
        """Counts and durations of the whole request."""
        now = time.perf_counter_ns()
        first = self._first_token or now
        tokens = self.request.tokens + self.output if self.request.return_tokens else None
        return Done(
            id=self.id,
            reason=reason,  # pyright: ignore[reportArgumentType]
            prompt_tokens=len(self.request.tokens),
            cached_tokens=self.cached,
            prompt_duration=first - self._started,
            output_tokens=len(self.output),
            output_duration=now - first,
            tokens=tokens,
            stop=self.text.matched,
        )
