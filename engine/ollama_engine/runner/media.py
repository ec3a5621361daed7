"""Images and sounds of requests: read, measured, encoded, and kept for the next request that shows the same one.

The batcher hands a request's files to a `MediaReader` and gets a future of the prompt, in which each file has become
cells; when it comes to a run of media cells that are in no slot, it asks for the run's embeddings and gets a future of
these. Two threads do the work, so that running streams go on meanwhile: one reads files (decode, resize, cut into
patches), the other encodes (one run at a time: a projector has one set of buffers). A request that is cancelled takes
what it was waiting for out of both queues, unless another waits for the same.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ollama_engine.runner.media_cells import run_cells
from ollama_engine.runner.media_files import MediaError, check_sound, is_sound, read_picture

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from ollama_engine.runner.mtmd import MediaChunk, Projector

KEPT_BYTES = 256 * 1024 * 1024
"""What files that were read and runs that were encoded may take together, once nobody waits for them."""

Embeddings = NDArray[np.float32]


class MediaRun:
    """Cells of one file that are encoded, and decoded, as one."""

    def __init__(self, chunk: MediaChunk, cells: list[int], input_bytes: int) -> None:
        self.chunk = chunk
        self.cells = cells
        self.bytes = input_bytes
        """By estimate: the preprocessed input before it is encoded, the embeddings after."""
        self.embeddings: Future[Embeddings] | None = None
        self.wanted = 0
        """How many sequences wait for the embeddings, or are about to decode them."""

    @property
    def is_encoded(self) -> bool:
        """Whether the embeddings are there, or it is known that they will never be."""
        return self.embeddings is not None and self.embeddings.done()

    @property
    def problem(self) -> str:
        """Why it could not be encoded; empty where it was."""
        error = self.embeddings.exception() if self.embeddings is not None else None
        return str(error) if error else ""

    @property
    def rows(self) -> Embeddings:
        """The embeddings, once it is encoded."""
        assert self.embeddings is not None
        return self.embeddings.result()


Piece = list[int] | MediaRun


@dataclass(frozen=True)
class MediaPrompt:
    """A prompt with its files in place: its cells, and the run that begins at some of them."""

    cells: list[int]
    runs: dict[int, MediaRun] = field(default_factory=dict)


class MediaReader:
    """All files of one model's requests. `wake` is called, from any thread, whenever a future is done."""

    def __init__(self, projectors: Sequence[Projector], wake: Callable[[], None] = lambda: None) -> None:
        self._seeing = next((projector for projector in projectors if projector.sees), None)
        self._hearing = next((projector for projector in projectors if projector.hears), None)
        self.wake = wake
        from concurrent.futures import ThreadPoolExecutor

        self._reading = ThreadPoolExecutor(1, "media-reader")
        self._encoding = ThreadPoolExecutor(1, "media-encoder")
        self._files: OrderedDict[bytes, list[Piece]] = OrderedDict()
        """What was made of a file, by its SHA-256; the one used longest ago first."""
        self._lock = threading.Lock()
        """Guards `_files` and the runs' `embeddings`, `wanted` and `bytes`."""

    @property
    def sees(self) -> bool:
        return self._seeing is not None

    @property
    def hears(self) -> bool:
        return self._hearing is not None

    @property
    def uses_mrope(self) -> bool:
        return any(projector is not None and projector.uses_mrope for projector in (self._seeing, self._hearing))

    def measure(self, files: list[bytes]) -> Future[list[int]]:
        """How many cells each file takes in a prompt; MediaError says what is wrong with which."""
        return self._submit(self._reading, lambda: [sum(map(_cells, self._read(i, f))) for i, f in enumerate(files)])

    def read(self, tokens: list[int], files: list[bytes]) -> Future[MediaPrompt]:
        """`tokens` with the file of that number put in for each token -1 (the first file), -2, …; MediaError."""
        return self._submit(self._reading, lambda: self._place(tokens, files))

    def want(self, run: MediaRun) -> Future[Embeddings]:
        """The run's embeddings, encoded now or before. Give it back with `release`."""
        with self._lock:
            run.wanted += 1
            if run.embeddings is None or run.embeddings.cancelled() or (run.is_encoded and run.problem):
                run.embeddings = self._submit(self._encoding, lambda: self._encode(run))
            return run.embeddings

    def release(self, run: MediaRun) -> None:
        """A sequence has decoded the run, or will not; it is not encoded for nobody."""
        with self._lock:
            run.wanted -= 1
            if not run.wanted and run.embeddings is not None and not run.embeddings.done():
                run.embeddings.cancel()
            self._forget_oldest()

    def _submit(self, pool: ThreadPoolExecutor, work: Callable[[], object]) -> Future:
        future = pool.submit(work)
        future.add_done_callback(lambda _: self.wake())
        return future

    # -- in the reading thread ---------------------------------------------------------------------------------

    def _place(self, tokens: list[int], files: list[bytes]) -> MediaPrompt:
        cells: list[int] = []
        runs: dict[int, MediaRun] = {}
        for token in tokens:
            for piece in [[token]] if token >= 0 else self._read(~token, files[~token]):
                if isinstance(piece, MediaRun):
                    runs[len(cells)] = piece
                    cells += piece.cells
                else:
                    cells += piece
        return MediaPrompt(cells, runs)

    def _read(self, number: int, data: bytes) -> list[Piece]:
        import hashlib  # with it comes OpenSSL: 4 MB that a model which only reads does without

        digest = hashlib.sha256(data).digest()
        with self._lock:
            pieces = self._files.get(digest)
            if pieces is not None:
                self._files.move_to_end(digest)
                return pieces
        kind = "sound" if is_sound(data) else "image"
        try:
            pieces = self._pieces(digest, data)
        except MediaError as error:
            raise MediaError(f"{kind} {number + 1}: {error}") from error
        with self._lock:
            self._files[digest] = pieces
            self._forget_oldest()
        return pieces

    def _pieces(self, digest: bytes, data: bytes) -> list[Piece]:
        if is_sound(data):
            if self._hearing is None:
                raise MediaError("the model hears no sound")
            found = self._hearing.read_sound(check_sound(data))
            size = 4 * len(data)
        else:
            if self._seeing is None:
                raise MediaError("the model sees no images")
            pixels = read_picture(data)
            found = self._seeing.read_picture(pixels)
            size = 4 * len(pixels.data)
        n_runs = sum(not isinstance(piece, list) for piece in found)
        if not n_runs:
            raise MediaError("the model's projector makes nothing of it")
        pieces: list[Piece] = []
        for piece in found:
            if isinstance(piece, list):
                pieces.append(piece)
            else:
                pieces.append(MediaRun(piece, _run_cells(digest, len(pieces), piece), size // n_runs))
        return pieces

    # -- in the encoding thread --------------------------------------------------------------------------------

    def _encode(self, run: MediaRun) -> Embeddings:
        rows = run.chunk.encode()
        run.chunk.forget_input()
        with self._lock:
            run.bytes = rows.nbytes
        return rows

    def _forget_oldest(self) -> None:
        """Keep to KEPT_BYTES; what a sequence waits for stays where the sequence holds it."""
        sizes = {digest: _bytes(pieces) for digest, pieces in self._files.items()}
        total = sum(sizes.values())
        for digest, size in sizes.items():
            if total <= KEPT_BYTES:
                break
            del self._files[digest]
            total -= size


def _run_cells(digest: bytes, number: int, chunk: MediaChunk) -> list[int]:
    try:
        return run_cells(digest, number, chunk.n_cells, chunk.n_positions)
    except ValueError as error:
        raise MediaError(f"it takes {error} in the prompt") from error


def _cells(piece: Piece) -> int:
    return len(piece.cells) if isinstance(piece, MediaRun) else len(piece)


def _bytes(pieces: list[Piece]) -> int:
    return sum(piece.bytes for piece in pieces if isinstance(piece, MediaRun))
