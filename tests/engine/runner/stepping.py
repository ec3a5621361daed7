"""A batcher in the test's own process, stepped by hand: what stands in each batch, and in which order, can be asked."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any, Self

from ollama_engine.runner import llama
from ollama_engine.runner.batcher import Batcher
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import Done, Failed, Generate, LoadSpec, Sampling

GREEDY = Sampling(temperature=0)


@functools.cache
def _silence() -> object:
    """llama.cpp's log is hundreds of lines a context; the callback must live as long as the library is used."""
    return llama.set_log(lambda level, text: None)


def load(path: Path, **spec: Any) -> LlamaModel:
    _silence()
    return LlamaModel(LoadSpec([str(path)], 512, n_threads=1, **spec), lambda fraction: True)


class Stepper:
    """Requests of one batcher and what has come of them, by request id."""

    def __init__(self, model: LlamaModel, *, n_ctx: int = 512, n_seq: int = 4, n_batch: int = 512, **spec: Any):
        self.context = LlamaContext(model, LoadSpec([], n_ctx, n_seq=n_seq, n_batch=n_batch, n_threads=1, **spec))
        self.batcher = Batcher(self.context)
        self.texts: defaultdict[int, str] = defaultdict(str)
        self.done: dict[int, Done] = {}
        self.failed: dict[int, Failed] = {}
        self._ids = itertools.count(1)

    @property
    def batch(self) -> dict[int, int]:
        """How many tokens of each request the last step decoded."""
        return dict(self.batcher._taken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        llama.C.llama_free(self.context.handle)

    def add(self, tokens: list[int], **request: Any) -> int:
        number = next(self._ids)
        request = {"sampling": GREEDY, "return_tokens": True, **request}
        assert self.batcher.add(Generate(number, list(tokens), **request)) is None
        return number

    def step(self) -> None:
        step, failures = self.batcher.step()
        for piece in step.pieces:
            self.texts[piece.id] += piece.text
        self.done |= {done.id: done for done in step.done}
        self.failed |= {failed.id: failed for failed in failures}

    def ended(self, number: int) -> bool:
        return number in self.done or number in self.failed

    def run(self, *numbers: int, steps: int = 5000) -> None:
        """Until these requests have ended."""
        for _ in range(steps):
            if all(map(self.ended, numbers)):
                return
            self.step()
        raise AssertionError(f"requests {numbers} did not end in {steps} steps")

    def output(self, number: int) -> list[int]:
        """The tokens of an answer that has ended."""
        done = self.done[number]
        assert done.tokens is not None
        return done.tokens[done.prompt_tokens :]

    def answer(self, tokens: list[int], **request: Any) -> list[int]:
        """Ask, wait for the end, return the answer's tokens."""
        number = self.add(tokens, **request)
        self.run(number)
        return self.output(number)

    def cached(self, tokens: list[int], **request: Any) -> int:
        """Ask, wait for the end, return how many tokens were in the cache already."""
        number = self.add(tokens, **request)
        self.run(number)
        return self.done[number].cached_tokens
