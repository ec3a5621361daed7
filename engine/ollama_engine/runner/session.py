"""The child's life: load the model, then step the batcher, or the embedder, for as long as the parent lives.

Two threads. The reader takes frames off the socket; what needs no decode (tokenize, stats, cancel) it answers
itself, so that none of it waits for a step. The main thread owns llama.cpp's context. When the socket ends, the
parent is gone, however it went, and the process ends with it at once.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from ollama_engine.runner import llama, memlock
from ollama_engine.runner.batcher import Batcher
from ollama_engine.runner.embedder import Embedder
from ollama_engine.runner.embedding_context import EmbeddingContext
from ollama_engine.runner.llama import LlamaError
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.logs import LlamaLog
from ollama_engine.runner.media import MediaReader
from ollama_engine.runner.media_files import MediaError
from ollama_engine.runner.model_params import CannotLoadSo
from ollama_engine.runner.outbox import Outbox
from ollama_engine.runner.protocol import (
    HEADER_BYTES,
    Buffer,
    Cancel,
    Command,
    Detokenize,
    Embed,
    Failed,
    Generate,
    GetStats,
    Loaded,
    LoadProgress,
    LoadSpec,
    MeasureMedia,
    MediaSizes,
    Report,
    Stats,
    Text,
    Tokenize,
    Tokens,
    decode_command,
    encode,
    frame_length,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ollama_engine.runner.mtmd import Projector

PROGRESS_STEP = 0.01


class Channel:
    """The child's end of the socket: blocking reads in one thread, whole frames written from any."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = sock.makefile("rb")
        self._writing = threading.Lock()

    def receive(self) -> Command | None:
        """The next frame, or None when the parent is gone."""
        header = self._reader.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES:
            return None
        length = frame_length(header)
        body = self._reader.read(length)
        return decode_command(body) if len(body) == length else None

    def send(self, report: Report) -> None:
        data = encode(report)
        with self._writing:
            self._socket.sendall(data)


class Session:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._log = LlamaLog()
        self._projector_log = LlamaLog()
        self._ready = threading.Event()
        self._keep_log_callback = llama.set_log(self._log.write)

    def run(self) -> int:
        """Until the parent goes. The exit code: 0, or 1 where the model did not load."""
        spec = self._channel.receive()
        if not isinstance(spec, LoadSpec):
            return 1
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        if not self._load(spec):
            return 1
        self._ready.set()
        if isinstance(self._worker, Embedder):
            return self._embed(self._worker)
        return self._generate(self._worker)

    def _generate(self, batcher: Batcher) -> NoReturn:
        outbox = Outbox(self._channel.send)
        while True:
            batcher.wait_for_work()
            if batcher.has_prompts:
                outbox.flush()
            step, failures = batcher.step()
            outbox.put(step)
            for failure in failures:
                outbox.flush()
                self._channel.send(failure)

    def _embed(self, embedder: Embedder) -> NoReturn:
        while True:
            embedder.wait_for_work()
            for report in embedder.step():
                self._channel.send(report)

    def _load(self, spec: LoadSpec) -> bool:
        try:
            model = LlamaModel(spec, self._report_progress())
            projectors = self._load_projectors(model, spec)
            media = MediaReader(projectors) if projectors else None
            worker, context = _worker(model, spec, media)
        except CannotLoadSo as error:
            self._channel.send(Failed(0, str(error), "invalid"))
            return False
        except (LlamaError, MemoryError) as error:
            self._channel.send(self._failed(error))
            return False
        self._model = model
        self._media = media
        self._worker = worker
        self._channel.send(
            Loaded(
                n_ctx=context.n_ctx,
                n_ctx_train=model.n_ctx_train,
                n_seq=context.n_seq,
                n_vocab=model.n_vocab,
                n_layers=model.n_layers,
                description=model.description,
                buffers=[*self._log.buffers, *self._projector_buffers(spec)],
                can_shift=isinstance(context, LlamaContext) and context.can_shift,
                special=model.special_tokens,
                vision=media is not None and media.sees,
                audio=media is not None and media.hears,
                notices=[memlock.notice(why, model.size)] if (why := self._log.not_locked) else [],
            )
        )
        return True

    def _failed(self, error: LlamaError | MemoryError) -> Failed:
        logs = (self._projector_log, self._log)
        reason = self._projector_log.reason or self._log.reason
        message = str(error) or "not enough memory"
        lacks_memory = isinstance(error, MemoryError) or any(log.out_of_memory for log in logs)
        return Failed(0, f"{message}: {reason}" if reason else message, "memory" if lacks_memory else "error")

    def _load_projectors(self, model: LlamaModel, spec: LoadSpec) -> list[Projector]:
        if not spec.projector_paths or spec.pooling:
            return []
        from ollama_engine.runner import mtmd  # its library is loaded by those alone who need it

        self._keep_projector_log = mtmd.set_log(self._projector_log.write)
        return [mtmd.Projector(path, model, spec) for path in spec.projector_paths]

    def _projector_buffers(self, spec: LoadSpec) -> list[Buffer]:
        """The projectors' weights, which mtmd's log tells without a device, and what it computes with."""
        found = [Buffer(buffer.device, "projector", buffer.size) for buffer in self._projector_log.buffers]
        if found:
            found.append(Buffer(found[0].device, "model", sum(os.path.getsize(path) for path in spec.projector_paths)))
        return found

    def _report_progress(self) -> Callable[[float], bool]:
        last = 0.0

        def report(fraction: float) -> bool:
            nonlocal last
            if fraction - last >= PROGRESS_STEP or fraction >= 1:
                last = fraction
                self._channel.send(LoadProgress(fraction))
            return True

        return report

    def _read(self) -> None:
        code = 1
        try:
            while command := self._channel.receive():
                self._ready.wait()  # the parent asks nothing before it has heard that the model is there
                self._answer(command)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()  # the parent reads it and says it to whoever waits for an answer
            raise
        finally:
            os._exit(code)  # the parent is gone; a decode that runs in the other thread has nobody to wait for it

    def _answer(self, command: Command) -> None:
        match command:
            case Generate() | Embed():
                if failed := self._add(command):
                    self._channel.send(failed)
            case Cancel(id=request_id):
                self._worker.cancel(request_id)
            case Tokenize(id=request_id, text=text):
                tokens = self._model.tokenize(
                    text, add_special=command.add_special, parse_special=command.parse_special
                )
                self._channel.send(Tokens(request_id, tokens))
            case MeasureMedia():
                self._measure(command)
            case Detokenize(id=request_id, tokens=tokens):
                self._channel.send(self._detokenize(request_id, tokens))
            case GetStats(id=request_id):
                self._channel.send(self._stats(request_id))
            case LoadSpec():
                self._channel.send(Failed(0, "a runner loads one model", "invalid"))

    def _measure(self, command: MeasureMedia) -> None:
        """Answered by the thread that reads the files: others who ask something do not wait for it."""
        if self._media is None:
            self._channel.send(Failed(command.id, "the model reads text alone: it has no projector", "invalid"))
            return

        def answer(future: Future[list[int]]) -> None:
            error = future.exception()
            if error is None:
                self._channel.send(MediaSizes(command.id, future.result()))
            else:
                kind = "invalid" if isinstance(error, MediaError) else "error"
                self._channel.send(Failed(command.id, str(error), kind))

        self._media.measure(command.media).add_done_callback(answer)

    def _detokenize(self, request_id: int, tokens: list[int]) -> Report:
        unknown = next((token for token in tokens if not 0 <= token < self._model.n_vocab), None)
        if unknown is not None:
            return Failed(request_id, f"token {unknown} is not in the vocabulary", "invalid")
        return Text(request_id, self._model.detokenize(tokens))

    def _add(self, command: Generate | Embed) -> Failed | None:
        match command, self._worker:
            case Generate(), Batcher() as batcher:
                return batcher.add(command)
            case Embed(), Embedder() as embedder:
                return embedder.add(command)
            case _:
                return Failed(command.id, "the model is not loaded for this", "invalid")

    def _stats(self, request_id: int) -> Stats:
        worker = self._worker
        return Stats(
            id=request_id,
            cells=worker.cells,
            cells_used=worker.cells_used,
            slots=worker.slots,
            slots_busy=worker.slots_busy,
            queued=worker.queued,
            tokens_per_second=worker.tokens_per_second,
            prompt_tokens_per_second=worker.prompt_tokens_per_second,
        )


def _worker(
    model: LlamaModel, spec: LoadSpec, media: MediaReader | None
) -> tuple[Batcher, LlamaContext] | tuple[Embedder, EmbeddingContext]:
    if spec.pooling:
        context = EmbeddingContext(model, spec)
        return Embedder(context), context
    context = LlamaContext(model, spec)
    return Batcher(context, media), context
