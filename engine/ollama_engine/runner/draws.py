"""The next tokens of all sequences of a step. Those whose chain works on whole vocabularies are drawn side by side.

llama.cpp works on a chain without the GIL, so threads do share it out; a draw among a few candidates is quicker than
handing it to a thread.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ollama_engine.runner.candidates import Logits
from ollama_engine.runner.cores import usable_cores
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.sequence import Sequence

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


class Draws:
    def __init__(self, context: LlamaContext) -> None:
        self._context = context

    def choose(self, sequences: list[Sequence]) -> list[int | LlamaError | None]:
        """The next token of each by its row of the batch just decoded; None where no more is wanted, the error where
        none can be drawn."""
        # llama.cpp puts its rows in order when they are first asked for: not in several threads.
        rows = [self._context.logits(sequence.row) for sequence in sequences]
        if sum(sequence.sampler.is_heavy for sequence in sequences) > 1:
            return list(self._threads.map(self._one, sequences, rows))
        return list(map(self._one, sequences, rows))

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(usable_cores(), thread_name_prefix="draw")

    def _one(self, sequence: Sequence, logits: Logits) -> int | LlamaError | None:
        if sequence.is_out_of_tokens:  # none were asked for
            return None
        try:
            return sequence.choose(logits, self._context.model)
        except LlamaError as error:
            return error
