"""One request inside the batch."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ollama_engine.runner.candidates import Logits
from ollama_engine.runner.free_text import FreeTextSampler
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.logprobs import Distribution
from ollama_engine.runner.media import MediaRun
from ollama_engine.runner.prefix_cache import Slot
from ollama_engine.runner.protocol import Done, DoneReason, Generate, Logprob, Piece
from ollama_engine.runner.text_stream import TextStream
from ollama_engine.runner.token_sampler import TokenSampler

MAX_REPEATS = 256
"""Times that a token may follow itself. A model in a loop never leaves it; text that means it does: rules and table
borders have up to some 150 tokens, indentation, zeros of a base64 or hex dump and "say it a hundred times" fewer than
this. Ollama gives up after 30, and cuts such text."""


class Sequence:
    """A request from the moment it has a slot: first prefill (`pending` prompt tokens), then decode."""

    def __init__(
        self,
        request: Generate,
        slot: Slot,
        sampler: TokenSampler | FreeTextSampler,
        cached: int,
        preserved: dict[int, bytes],
        runs: dict[int, MediaRun],
    ) -> None:
        self.request = request
        self.preserved = preserved
        """Control tokens that this answer shows, and how they are written."""
        self.slot = slot
        self.sampler = sampler
        self.text = TextStream(request.stop)
        self.cached = cached
        self.output: list[int] = []
        self.pending = request.tokens[cached:]
        """Cells still to be decoded: the rest of the prompt, later the one token just sampled; all of it again after
        `restart`."""
        self.runs = runs
        """Of the images and sounds in the prompt, by the first cell of each."""
        self.run_done = 0
        """How many cells of the run it is in are in the slot."""
        self.wanted: list[MediaRun] = []
        """Runs whose embeddings it has asked for and not yet given back."""
        self.follows: tuple[Sequence, int] | None = None
        """A sequence that is reading the same, and up to how many cells: this one waits and shares them."""
        self.row = -1
        """Row of the current batch whose logits are this sequence's; -1 when it has none in this step."""
        self._repeats = 0
        self._logprobs: list[Logprob] = []
        """Of tokens whose text has not been told."""
        self._shown: list[int] = []
        """How many bytes of text each of these tokens is; 0 for one that is not shown."""
        self._told = 0
        self._started = time.perf_counter_ns()
        self._first_token = 0

    @property
    def id(self) -> int:
        return self.request.id

    @property
    def in_prefill(self) -> bool:
        """Whether more is to be read than the token just sampled."""
        return not self.output or len(self.pending) > 1

    @property
    def prompt_text(self) -> list[int]:
        """The prompt's tokens, images and sounds left out."""
        return [cell for cell in self.request.tokens if cell >= 0] if self.runs else self.request.tokens

    @property
    def is_repeating(self) -> bool:
        """Whether the answer has become one token again and again, which one that ignores its end may."""
        return self._repeats >= MAX_REPEATS and not self.request.sampling.ignore_eos

    @property
    def run(self) -> MediaRun | None:
        """The run of media cells that it has come to; None where text comes next."""
        if not self.runs or not self.pending or self.pending[0] >= 0:
            return None
        cell = self.slot.cells[-self.run_done] if self.run_done else self.pending[0]
        return self.runs[cell]

    def text_ahead(self, most: int) -> int:
        """How many cells of text come next, up to the next image."""
        if not self.runs:
            return min(most, len(self.pending))
        return next((n for n, cell in enumerate(self.pending[:most]) if cell < 0), min(most, len(self.pending)))

    def skip(self, cached: int) -> None:
        """So many cells of the prompt came from the cache after all."""
        self.cached = cached
        self.pending = self.request.tokens[cached:]

    def restart(self, cells: Iterable[int]) -> None:
        """Its slot has lost `cells`, all that it held: they are to be decoded again before anything else."""
        self.pending = [*cells, *self.pending]
        self.run_done = 0

    def step_back(self) -> int:
        """Leave the run that it is in the middle of, to begin it again; how many cells of the slot are to go."""
        n, self.run_done = self.run_done, 0
        if n:
            self.pending = [*self.slot.cells[-n:], *self.pending]
        return n

    def choose(self, logits: Logits, model: LlamaModel) -> int:
        """The next token, by the logits of its row; `accept` it then. LlamaError where none can be chosen."""
        top = self.request.logprobs
        distribution = Distribution(logits, top) if top is not None else None
        token = self.sampler.sample(logits)
        if distribution is not None and not model.is_end(token):
            self._logprobs.append(distribution.of(token, model.any_piece))
            self._shown.append(len(self.preserved.get(token) or model.piece(token)))
        return token

    def accept(self, token: int) -> None:
        """The model chose `token`; it is decoded in the next step."""
        if not self.output:
            self._first_token = time.perf_counter_ns()
        self._repeats = self._repeats + 1 if self.output and token == self.output[-1] else 0
        self.output.append(token)
        self.pending = [token]

    def piece(self, text: str) -> Piece:
        """`text` as a frame part, with the tokens it took: those without text of their own count with the next."""
        n = len(self.output) - self._told
        self._told = len(self.output)
        logprobs, self._logprobs, self._shown = self._logprobs, [], []
        return Piece(self.id, text, n, logprobs)

    def forget_logprobs_behind(self, text: str) -> None:
        """The answer ends with `text`: those of tokens that a stop string has cut off are nobody's."""
        room, kept = len(text.encode()), 0
        while kept < len(self._logprobs) and room > 0:
            room -= self._shown[kept]
            kept += 1
        del self._logprobs[kept:]

    @property
    def has_logprobs(self) -> bool:
        """Whether some have not been told."""
        return bool(self._logprobs)

    @property
    def is_out_of_tokens(self) -> bool:
        return 0 <= self.request.max_tokens <= len(self.output)

    def finish(self, reason: DoneReason) -> Done:
        """Counts and durations of the whole request."""
        now = time.perf_counter_ns()
        first = self._first_token or now
        tokens = [*self.prompt_text, *self.output] if self.request.return_tokens else None
        return Done(
            id=self.id,
            reason=reason,
            prompt_tokens=len(self.request.tokens),
            cached_tokens=self.cached,
            prompt_duration=first - self._started,
            output_tokens=len(self.output),
            output_duration=now - first,
            tokens=tokens,
            stop=self.text.matched,
        )
