"""Continuous batching: every step decodes one batch that holds a token of each running sequence and, in the room that
is left, a chunk of the prompts still to be read; then each sequence whose logits came out gets its next token.

    schedule -> decode -> postprocess

A request waits until a slot is free. What it shares with any slot it takes over (prefix_cache.py); how much of the
rest a step reads depends on who waits for it (pace.py). Whatever goes wrong in a batch of several is tried again with
each of them alone, so that it ends the request it belongs to and no other.

Images and sounds are read and encoded by other threads (media.py); a sequence that has come to one waits for it, and
the others go on. Their embeddings cannot share a batch with tokens: they get steps of their own, every second one.
"""

from __future__ import annotations

import threading
import time

from ollama_engine.runner.candidates import Candidates
from ollama_engine.runner.draws import Draws
from ollama_engine.runner.intake import Intake
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_batch import EmbeddingBatch, LlamaBatch
from ollama_engine.runner.llama_context import DECODE_ABORTED, DECODE_NO_SLOT, LlamaContext
from ollama_engine.runner.media import MediaReader, MediaRun
from ollama_engine.runner.pace import Pace
from ollama_engine.runner.prefix_cache import PrefixCache, cells_of, common_prefix
from ollama_engine.runner.protocol import Done, DoneReason, Failed, Generate, Step
from ollama_engine.runner.sampler_chain import build_sampler
from ollama_engine.runner.sequence import Sequence
from ollama_engine.runner.throughput import Throughput

NO_CELLS = "the KV cache is full and nothing in it can be given up"
NOT_FINITE = "the model computed numbers that are none (NaN or infinity): its weights are broken, or overflow"

WORTH_WAITING = 32
"""Tokens that another prompt must be about to read, that one waits for it to share them."""


class Batcher:
    """All requests of one model.

    One thread calls `step`; `add`, `cancel`, `wait_for_work` and the figures may be called from another.
    """

    def __init__(self, context: LlamaContext, media: MediaReader | None = None) -> None:
        """`media`: what reads images and sound, where the model has a projector."""
        self._context = context
        self._media = media
        self._model = context.model
        self._batch = LlamaBatch(context.n_batch)
        self._cache = PrefixCache(context, jumps=media is not None and media.uses_mrope)
        self._pace = Pace(context.n_batch)
        self._candidates = Candidates(context.model.n_vocab)
        self._draws = Draws(context)
        self._media_was_last = False
        """Whether the last step decoded an image: then it is the text's turn."""
        self._prompts_turn = False
        """Whether the last step read prompts while sequences ran: then it is their turn."""
        self._oldest_turn = True
        """Whether the last step with several prompts began with the one that came first."""
        self._running: list[Sequence] = []
        self._suspects: list[Sequence] = []
        """One of these has spoiled a batch. Each is decoded alone, the first one next, until its logits are good."""
        self._taken: dict[int, int] = {}
        """Tokens of each sequence in the current batch, by request id."""
        self._in_batch: frozenset[int] = frozenset()
        self._canceled: set[int] = set()
        self._lock = threading.Condition()
        """Guards what another thread touches: the intake, `_canceled`, `_in_batch` and its abort flag."""
        self._intake = Intake(context, media, self._batch.capacity, self._lock)
        self._throughput = Throughput()
        self._sampled = 0
        """Tokens chosen in the current step."""
        self._failures: list[Failed] = []

        if media is not None:
            media.wake = self._wake

    def wait_for_work(self) -> None:
        """Block until there is something to do."""
        with self._lock:
            self._lock.wait_for(self._has_work)

    def _has_work(self) -> bool:
        return (
            self._intake.has_read
            or (len(self._intake) > 0 and self._cache.has_free_slot)
            or any(map(self._can_go_on, self._running))
            or bool(self._canceled)
        )

    def _can_go_on(self, sequence: Sequence) -> bool:
        """Whether it waits neither for an image to be encoded nor for another that reads the same."""
        if sequence.follows is not None:
            forerunner, n = sequence.follows
            if forerunner in self._running and len(forerunner.slot.cells) < n:
                return False
        run = sequence.run
        return run is None or run.is_encoded

    def _wake(self) -> None:
        with self._lock:
            self._lock.notify()

    @property
    def has_prompts(self) -> bool:
        """Whether the next step reads a prompt, which may take long."""
        return len(self._intake) > 0 or any(
            sequence.in_prefill and ((run := sequence.run) is None or run.is_encoded) for sequence in self._running
        )

    def add(self, request: Generate) -> Failed | None:
        """Queue a request; it gets its first step as soon as a slot is free. Answers what is wrong with it, if so."""
        return self._intake.add(request)

    def cancel(self, request_id: int) -> None:
        """End a request at the next step, or break off the step that runs if nobody else is in it."""
        with self._lock:
            self._canceled.add(request_id)
            self._lock.notify()
            if self._in_batch and self._in_batch <= self._canceled:
                self._context.abort(True)

    def step(self) -> tuple[Step, list[Failed]]:
        """One round. Both lists may be empty (a chunk of a long prompt gives no text)."""
        step = Step([], [])
        self._sampled = 0
        self._drop_canceled(step)
        self._failures += self._intake.take_read()
        self._admit()
        media = self._next_media()
        if sequences := self._schedule() if media is None or self._media_was_last else []:
            self._decode_and_sample(sequences, self._batch, step)
            self._media_was_last = False
        elif media is not None:
            self._decode_media(media, step)
            self._media_was_last = True
        self._throughput.add(self._sampled)
        failures, self._failures = self._failures, []
        return step, failures

    # -- figures, read from another thread ---------------------------------------------------------------------

    @property
    def cells(self) -> int:
        return self._context.n_ctx * self._context.n_seq

    @property
    def slots(self) -> int:
        return self._context.n_seq

    @property
    def cells_used(self) -> int:
        """Cells that several slots share count once."""
        return self._cache.cells_used

    @property
    def slots_busy(self) -> int:
        return sum(slot.busy for slot in self._cache.slots)

    @property
    def queued(self) -> int:
        return len(self._intake)

    @property
    def tokens_per_second(self) -> float:
        return self._throughput.per_second

    # -- requests come and go ----------------------------------------------------------------------------------

    def _drop_canceled(self, step: Step) -> None:
        with self._lock:
            canceled, self._canceled = self._canceled, set()
        step.done += [Done(r.id, "canceled", len(r.tokens), 0, 0, 0, 0) for r in self._intake.drop(canceled)]
        for sequence in [s for s in self._running if s.id in canceled]:
            self._release(sequence)
            step.done.append(sequence.finish("canceled"))

    def _admit(self) -> None:
        while self._cache.has_free_slot and (admitted := self._intake.next()):
            request, runs = admitted
            try:
                sampler = build_sampler(request.sampling, self._context, self._candidates)
            except LlamaError as error:
                self._failures.append(Failed(request.id, str(error), "invalid"))
                continue
            slot, cached = self._cache.take(cells_of(request.tokens))
            preserved = self._control_pieces(request.preserved)
            sequence = Sequence(request, slot, sampler, cached, preserved, runs)
            sampler.prime(sequence.prompt_text)
            for cell in sequence.pending if runs else ():
                if cell in runs:
                    self._want(sequence, runs[cell])
            sequence.follows = self._forerunner(sequence, self._running)
            self._running.append(sequence)

    def _forerunner(self, sequence: Sequence, earlier: list[Sequence]) -> tuple[Sequence, int] | None:
        """Who is reading a good part of the same prompt right now, and up to where: several requests with one long
        system prompt came at once. It is read once, not by each of them."""
        if not self._context.can_cut:
            return None
        prompt = cells_of(sequence.request.tokens)
        found, longest = None, sequence.cached + WORTH_WAITING - 1
        for other in earlier:
            n = min(common_prefix(cells_of(other.request.tokens), prompt), len(prompt) - 1)
            if n > longest and other.in_prefill and not other.output:
                found, longest = other, n
        return (found, longest) if found else None

    def _waits(self, sequence: Sequence) -> bool:
        """Whether what the sequence follows is still to come; where it has come, it has it now."""
        if sequence.follows is None:
            return False
        forerunner, n = sequence.follows
        lives = forerunner in self._running
        if lives and len(forerunner.slot.cells) < n:
            return True
        sequence.skip(self._cache.catch_up(sequence.slot, cells_of(sequence.request.tokens)))
        earlier = self._running[: self._running.index(sequence)]
        sequence.follows = None if lives else self._forerunner(sequence, earlier)
        return sequence.follows is not None

    def _control_pieces(self, texts: list[str]) -> dict[int, bytes]:
        tokens = [token for token in map(self._model.control_token, texts) if token is not None]
        return {token: self._model.control_piece(token) for token in tokens}

    def _release(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        if sequence in self._suspects:
            self._suspects.remove(sequence)
        sequence.sampler.close()
        for run in sequence.wanted[:]:
            self._unwant(sequence, run)
        self._cache.release(sequence.slot)

    def _want(self, sequence: Sequence, run: MediaRun) -> None:
        """Have the run encoded; an image that is in the prompt twice is asked for once."""
        if self._media is not None and run not in sequence.wanted:
            self._media.want(run)
            sequence.wanted.append(run)

    def _unwant(self, sequence: Sequence, run: MediaRun) -> None:
        if self._media is not None and run in sequence.wanted:
            sequence.wanted.remove(run)
            self._media.release(run)

    # -- schedule ----------------------------------------------------------------------------------------------

    def _schedule(self) -> list[Sequence]:
        """Fill the batch: running sequences first, then prompts in the room that is left. Who is in it.

        Where each sequence has a stream of KV cells of its own, llama.cpp would compute the two one after the other: so
        they get steps of their own, in turn, and what runs is decoded in the order of its slots, as llama.cpp wants it.
        """
        batch = self._batch
        batch.clear()
        self._taken = {}
        for sequence in self._running:
            sequence.row = -1
        ready = [s for s in self._running if s.run is None]
        suspects = [s for s in self._suspects if s.run is None]
        sequences = suspects[:1] or [s for s in ready if s not in self._suspects]
        streams = [s for s in sequences if not s.in_prefill]
        beside = len(streams)
        prefill = [s for s in sequences if s.in_prefill and not self._waits(s)]
        if not self._context.unified:
            self._prompts_turn = bool(prefill) and not (streams and self._prompts_turn)
            streams, prefill = ([], prefill) if self._prompts_turn else (streams, [])
        for sequence in sorted(streams, key=lambda s: s.slot.id):
            self._put(sequence, 1)
        room = min(self._pace.chunk(beside, in_batch=len(streams)), batch.capacity - batch.n_tokens)
        for sequence in self._next_prompts(prefill):
            room -= self._put(sequence, room)
        return [s for s in sequences if s.id in self._taken]

    def _next_prompts(self, prefill: list[Sequence]) -> list[Sequence]:
        """In which order they are read. One after the other: a chunk of one prompt is computed faster than pieces of
        many, and the first of them can answer while the others are read. The shortest first, and every second time
        the one that came first, so that none waits for ever."""
        if len(prefill) < 2:
            return prefill
        self._oldest_turn = not self._oldest_turn
        shortest = sorted(prefill, key=lambda s: len(s.pending))
        return [prefill[0], *(s for s in shortest if s is not prefill[0])] if self._oldest_turn else shortest

    def _put(self, sequence: Sequence, share: int) -> int:
        """Put up to `share` of what the sequence has to decode into the batch; how much it was."""
        chunk = sequence.pending[: sequence.text_ahead(share)]
        if chunk:
            last = len(chunk) == len(sequence.pending)
            row = self._batch.add(chunk, sequence.slot.next_position, sequence.slot.id, want_logits=last)
            sequence.row = row if last else -1
            self._taken[sequence.id] = len(chunk)
        return len(chunk)

    def _next_media(self) -> Sequence | None:
        """A sequence that has come to an image which is encoded. One whose image could not be encoded ends."""
        for sequence in list(self._running):
            if sequence.run is None or self._waits(sequence):
                continue
            run = sequence.run  # what it waited for may have held the image, too
            if run is None:
                continue
            self._want(sequence, run)
            if not run.is_encoded:
                continue
            if error := run.problem:
                self._release(sequence)
                self._failures.append(Failed(sequence.id, error))
                continue
            return sequence
        return None

    # -- decode and postprocess --------------------------------------------------------------------------------

    def _decode_media(self, sequence: Sequence, step: Step) -> None:
        """Decode the image, or as much of it as a step may take."""
        run, start = sequence.run, sequence.run_done
        if run is None:
            return
        n = len(run.cells) - start
        if run.chunk.is_causal:
            n = min(n, self._pace.chunk(sum(not s.in_prefill for s in self._running), in_batch=0))
        first = sequence.slot.position(len(sequence.slot.cells) - start)
        batch = EmbeddingBatch(
            run.rows[start : start + n],
            run.chunk.positions(first)[..., start : start + n],
            sequence.slot.id,
            want_logits=n == len(sequence.pending),
        )
        for other in self._running:
            other.row = -1
        sequence.row = batch.last if n == len(sequence.pending) else -1
        self._taken = {sequence.id: n}
        self._decode_and_sample([sequence], batch, step, causal=run.chunk.is_causal)

    def _decode_and_sample(
        self, sequences: list[Sequence], batch: LlamaBatch | EmbeddingBatch, step: Step, *, causal: bool = True
    ) -> None:
        began = time.perf_counter()
        streams = sum(not s.in_prefill for s in sequences)
        code = self._decode(batch, causal)
        while code == DECODE_NO_SLOT and self._cache.reclaim():
            code = self._decode(batch, causal)
        if code == DECODE_ABORTED:
            # Everybody in it was cancelled; what it did to their cells is undone here, they leave in the next step.
            self._rewind(sequences)
            return
        if code != 0:
            self._rewind(sequences)
            self._blame(sequences, f"llama.cpp could not decode (code {code})" if code != DECODE_NO_SLOT else NO_CELLS)
            return
        sampled = [s for s in sequences if s.row >= 0]
        if not all(self._context.is_finite(s.row) for s in sampled):
            self._blame(sequences, NOT_FINITE)
            self._start_over()
            return
        for sequence in sequences:
            self._advance(sequence, self._taken[sequence.id])
        for sequence, token in zip(sampled, self._draws.choose(sampled), strict=True):
            if not sequence.output:
                self._cache.keep_state(sequence.slot)
            self._postprocess(sequence, token, step)
        if sampled:
            self._suspects = [s for s in self._suspects if s not in sampled]
        if sampled or not self._context.unified:  # else the device may not even have begun
            self._pace.measured(time.perf_counter() - began, streams, batch.n_tokens - streams)

    def _advance(self, sequence: Sequence, n: int) -> None:
        """`n` of its cells are in the slot now."""
        run = sequence.run
        sequence.slot.cells.extend(sequence.pending[:n])
        del sequence.pending[:n]
        if run is not None:
            sequence.run_done += n
            if sequence.run_done == len(run.cells):
                sequence.run_done = 0
                if run.cells[0] not in sequence.pending:  # else the same image comes once more
                    self._unwant(sequence, run)

    def _decode(self, batch: LlamaBatch | EmbeddingBatch, causal: bool) -> int:
        with self._lock:
            self._in_batch = frozenset(self._taken)
            if self._in_batch <= self._canceled:
                self._context.abort(True)
        code = self._context.decode(batch, causal=causal)
        with self._lock:
            self._in_batch = frozenset()
            self._context.abort(False)
        return code

    def _postprocess(self, sequence: Sequence, token: int | LlamaError | None, step: Step) -> None:
        if token is None:
            self._finish(sequence, "", "length", step)
            return
        if isinstance(token, LlamaError):
            self._release(sequence)
            self._failures.append(Failed(sequence.id, str(token)))
            return
        sequence.accept(token)
        self._sampled += 1
        if self._model.is_end(token):
            self._finish(sequence, sequence.text.flush(), "stop", step)
            return
        text = sequence.text.push(sequence.preserved.get(token) or self._model.piece(token))
        if sequence.text.stopped:
            sequence.forget_logprobs_behind(text)
            self._finish(sequence, text, "stop", step)
        elif sequence.is_repeating or sequence.is_out_of_tokens or not self._make_room(sequence):
            text += sequence.text.flush()
            reason = "repetition" if sequence.is_repeating else "length"
            self._finish(sequence, text, "stop" if sequence.text.stopped else reason, step)
        elif text:
            step.pieces.append(sequence.piece(text))

    def _finish(self, sequence: Sequence, text: str, reason: DoneReason, step: Step) -> None:
        if text or sequence.has_logprobs:
            step.pieces.append(sequence.piece(text))
        self._release(sequence)
        step.done.append(sequence.finish(reason))

    def _make_room(self, sequence: Sequence) -> bool:
        """Whether the sequence can go on: true unless its context is full and may not, or cannot, be shifted."""
        request = sequence.request
        if len(sequence.slot.cells) < request.n_ctx:
            return True
        return request.shift and self._context.can_shift and self._cache.shift(sequence.slot, request.keep)

    # -- when a batch went wrong -------------------------------------------------------------------------------

    def _rewind(self, sequences: list[Sequence]) -> None:
        """Forget what a decode that did not succeed may have left in their slots."""
        for sequence in sequences:
            cells = sequence.slot.cells[: len(sequence.slot.cells) - sequence.step_back()]
            if not self._cache.cut(sequence.slot, len(cells)):
                sequence.restart(cells)

    def _blame(self, sequences: list[Sequence], problem: str) -> None:
        """A batch went wrong: it is the fault of who was alone in it; several are decoded one by one from now on.

        The newest prompt first: what went well until now was decoded with the others in the batch.
        """
        for sequence in self._running:
            sequence.follows = None
        if len(sequences) > 1:
            newest = sorted(sequences, key=self._running.index, reverse=True)
            self._suspects = sorted(newest, key=lambda s: not s.in_prefill)
            return
        for sequence in sequences:
            self._cache.cut(sequence.slot, 0)
            self._release(sequence)
            self._failures.append(Failed(sequence.id, problem))

    def _start_over(self) -> None:
        """Empty the whole KV cache and read again what the running sequences had in it.

        A NaN in a cell does not stay with its sequence: attention goes over all cells, and a weight of 0 times NaN is
        NaN, also where the cell is masked, or has been given up.
        """
        cells = [sequence.slot.cells[:] for sequence in self._running]
        self._cache.clear()
        for sequence, held in zip(self._running, cells, strict=True):
            sequence.restart(held)
