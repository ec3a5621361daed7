"""The parent's side of a runner: start the process, load the model, stream answers, see it end.

    async with contextlib.aclosing(runner.generate(...)) as pieces:
        async for piece in pieces: ...

Closing the generator cancels the request inside the runner within one step. When the process dies, every request in
it raises RunnerDied with the last thing the process said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import sys
from array import array
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

from ollama_engine.errors import InvalidRequest, LoadFailed, RequestCanceled, RunnerDied, RunnerError
from ollama_engine.runner.logs import lacks_memory
from ollama_engine.runner.oom import kernel_kills
from ollama_engine.runner.protocol import (
    HEADER_BYTES,
    Cancel,
    Command,
    Detokenize,
    Done,
    Embed,
    Failed,
    Generate,
    GetStats,
    Loaded,
    LoadProgress,
    LoadSpec,
    MeasureMedia,
    MediaSizes,
    Piece,
    Report,
    Stats,
    Step,
    Text,
    Tokenize,
    Tokens,
    Vectors,
    decode_report,
    encode,
    frame_length,
)

log = logging.getLogger(__name__)

LAST_STDERR_BYTES = 16 * 1024
Answer = TypeVar("Answer", Tokens, MediaSizes, Text, Stats)
Inbox = asyncio.Queue[Report | Piece | RunnerError | RequestCanceled]
CANCEL_GRACE = 2.0
"""Seconds that a runner has to say how a request that was canceled has ended: a step, as a rule."""
STOP_GRACE = 5.0
"""Seconds a runner has to end by itself before it is killed."""


class Watcher:
    """Is told how far an answer is when that is known here, however much of it is still to be read by its reader."""

    def on_piece(self, piece: Piece) -> None: ...

    def on_end(self) -> None:
        """The runner has ended with the request. Called once."""


class Runner:
    """A loaded model in its own process. Make one with `Runner.start`; end it with `aclose`."""

    def __init__(self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._process = process
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._inboxes: dict[int, Inbox] = {}
        self._watchers: dict[int, Watcher] = {}
        """Who is told how far requests of `generate` are, by id, until the runner has ended with them."""
        self._stderr = bytearray()
        """The end of what the process has written to stderr."""
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self.died = asyncio.Event()
        """Set when the process is gone, wanted or not."""
        self.info: Loaded
        """What the runner said of itself once it was loaded."""

    @classmethod
    async def start(
        cls,
        spec: LoadSpec,
        *,
        on_progress: Callable[[float], None] = lambda fraction: None,
        stall_timeout: float = 300.0,
    ) -> Runner:
        """Start a process and load the model in it.

        Args:
            on_progress: called with 0 to 1 as the weights come in.
            stall_timeout: seconds without any progress after which the load is given up.

        Raises:
            LoadFailed: with llama.cpp's own reason.
            InvalidRequest: the spec asks for a device that is not there.
        """
        runner = await cls._spawn()
        try:
            await runner._load(spec, on_progress, stall_timeout)
        except BaseException:
            await runner.aclose()
            raise
        return runner

    @classmethod
    async def _spawn(cls) -> Runner:
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
                try:
                    process = await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-P",  # a `numpy.py` in the folder the user happens to be in is not ours to run
                        "-m",
                        "ollama_engine.runner",
                        str(theirs.fileno()),
                        pass_fds=(theirs.fileno(),),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.PIPE,
                        start_new_session=True,
                    )
                except BaseException:
                    writer.close()
                    raise
        except OSError as error:
            raise LoadFailed(
                f"cannot start a process for the model: {error}", hint="Close other programs or raise their limits."
            ) from error
        runner = cls(process, reader, writer)
        runner._tasks.append(asyncio.create_task(runner._read_stderr(), name="runner-stderr"))
        return runner

    async def _load(self, spec: LoadSpec, on_progress: Callable[[float], None], stall_timeout: float) -> None:
        kills = kernel_kills()
        self._send(spec)
        while True:
            try:
                async with asyncio.timeout(stall_timeout if stall_timeout != float("inf") else None):
                    report = await self._receive()
            except ValueError as error:
                raise LoadFailed(f"the runner sent a broken frame while it loaded the model: {error}") from error
            except TimeoutError:
                raise LoadFailed(
                    f"timed out loading the model: no progress for {stall_timeout:.0f} s",
                    hint="Set OLLAMA_LOAD_TIMEOUT higher if the disk is that slow.",
                ) from None
            match report:
                case LoadProgress(fraction=fraction):
                    on_progress(fraction)
                case Loaded():
                    self.info = report
                    break
                case Failed(message=message, kind="invalid"):
                    raise InvalidRequest(message, hint="'ollama-tui devices' lists what there is to load models on.")
                case Failed(message=message, kind=kind):
                    hint = _load_hint(message, kind)
                    raise LoadFailed(f"unable to load model: {message}", hint=hint, out_of_memory=kind == "memory")
                case None:
                    raise await self._ended_while_loading(kills)
                case _:
                    raise LoadFailed(f"the runner answered a load with {type(report).__name__}")
        self._tasks.append(asyncio.create_task(self._read_reports(), name="runner-reports"))

    async def _ended_while_loading(self, kills_before: int) -> LoadFailed:
        """Why it is gone before the model was there. A signal from a person is no lack of memory; the kernel's is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE):
                await self._process.wait()
        words = await self._last_words()
        killed = self._process.returncode == -signal.SIGKILL and kernel_kills() > kills_before
        if killed:
            words += ": the system has killed it because memory ran out"
        out_of_memory = killed or lacks_memory(self._stderr.decode("utf-8", "replace"))
        return LoadFailed(
            f"the runner ended while it loaded the model{words}",
            hint=NO_MEMORY_HINT if out_of_memory else "",
            out_of_memory=out_of_memory,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self.died.is_set() and self._process.returncode is None

    async def generate(
        self, request: Generate, *, watcher: Watcher | None = None
    ) -> AsyncGenerator[Piece | Done, None]:
        """The answer's pieces, then one Done. `request.id` is set here.

        Raises:
            InvalidRequest: the runner will not take this request.
            RunnerError: llama.cpp failed at it.
            RunnerDied: the process ended.
            RequestCanceled: `cancel` ended it, and the runner does not say how far it came.
        """
        with self._inbox() as (request.id, inbox):
            self._watchers[request.id] = watcher or Watcher()
            ended = False
            try:
                self._send(request)
                while not ended:
                    report = await self._next(inbox)
                    if isinstance(report, Done):
                        ended = True
                    elif not isinstance(report, Piece):
                        ended = True
                        raise RunnerError(f"the runner answered with {type(report).__name__}")
                    yield report
            except (RunnerError, InvalidRequest):
                ended = True
                raise
            finally:
                if not ended and self.alive:
                    self._send(Cancel(request.id))
                self._ended(request.id)

    def cancel(self, request: Generate) -> None:
        """End a request of `generate` within a step: its reader gets a Done with the reason `canceled`, or, from a
        runner that does not answer, RequestCanceled."""
        inbox = self._inboxes.get(request.id)
        if inbox is not None and request.id in self._watchers and self.alive:
            self._send(Cancel(request.id))
            asyncio.get_running_loop().call_later(CANCEL_GRACE, self._put, request.id, RequestCanceled())

    async def embed(self, inputs: list[list[int]], *, dimensions: int = 0, normalize: bool = True) -> list[list[float]]:
        """A vector for each of `inputs` (tokens, special ones included), in their order; see protocol.Embed.

        Cancelling the task drops the request in the runner. Errors as `generate`.
        """
        if not inputs:
            return []
        vectors: list[list[float] | None] = [None] * len(inputs)
        missing = len(inputs)
        with self._inbox() as (request_id, inbox):
            self._send(Embed(request_id, inputs, dimensions, normalize))
            try:
                while missing:
                    report = await self._next(inbox)
                    if not isinstance(report, Vectors):
                        raise RunnerError(f"the runner answered with {type(report).__name__}")
                    for number, row in _rows(report, len(inputs)):
                        missing -= vectors[number] is None
                        vectors[number] = row
            except asyncio.CancelledError:
                if self.alive:
                    self._send(Cancel(request_id))
                raise
        return [vector for vector in vectors if vector is not None]

    async def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = True) -> list[int]:
        """Token ids of `text`; special tokens written in it count as such with `parse_special`."""
        return (await self._ask(lambda id: Tokenize(id, text, add_special, parse_special), Tokens)).tokens

    async def measure(self, media: list[bytes]) -> list[int]:
        """Cells that each image or sound will take in a prompt; InvalidRequest says which one is broken, and how."""
        return (await self._ask(lambda id: MeasureMedia(id, media), MediaSizes)).sizes

    async def detokenize(self, tokens: list[int]) -> str:
        """The text of `tokens`, control tokens written out; InvalidRequest where one is not in the vocabulary."""
        return (await self._ask(lambda id: Detokenize(id, tokens), Text)).text

    async def stats(self) -> Stats:
        return await self._ask(GetStats, Stats)

    def kill(self) -> None:
        """End the process at once; requests in it raise RunnerDied."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def aclose(self) -> None:
        """Close the socket, which ends the process, and wait until it is gone. Safe to call twice."""
        self._closing = True
        self._writer.close()
        await self._gone()
        self._give_up(RunnerDied("the model was unloaded while it answered"))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _gone(self) -> None:
        """Wait for the end of a process whose socket is closed."""
        try:
            async with asyncio.timeout(STOP_GRACE):
                await self._process.wait()
        except TimeoutError:
            log.warning("runner %d did not end by itself and is killed", self.pid)
            self.kill()
            await self._process.wait()

    # -- frames ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _inbox(self) -> Iterator[tuple[int, Inbox]]:
        request_id = next(self._ids)
        inbox: Inbox = asyncio.Queue()
        self._inboxes[request_id] = inbox
        try:
            yield request_id, inbox
        finally:
            del self._inboxes[request_id]

    async def _ask(self, command: Callable[[int], Command], kind: type[Answer]) -> Answer:
        with self._inbox() as (request_id, inbox):
            self._send(command(request_id))
            report = await self._next(inbox)
        if not isinstance(report, kind):
            raise RunnerError(f"the runner answered with {type(report).__name__}")
        return report

    async def _next(self, inbox: Inbox) -> Report | Piece:
        if not self.alive and inbox.empty():
            raise RunnerDied(f"{DIED}{await self._last_words()}", hint=DIED_HINT)
        report = await inbox.get()
        if isinstance(report, RunnerError | RequestCanceled):
            raise report
        if isinstance(report, Failed):
            kind = InvalidRequest if report.kind == "invalid" else RunnerError
            raise kind(report.message)
        return report

    def _send(self, command: Command) -> None:
        try:
            frame = encode(command)
        except ValueError as error:
            raise InvalidRequest(f"the model cannot be asked this: {error}", hint="Shorten or correct it.") from error
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def _receive(self) -> Report | None:
        try:
            header = await self._reader.readexactly(HEADER_BYTES)
            return decode_report(await self._reader.readexactly(frame_length(header)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _read_reports(self) -> None:
        try:
            while (report := await self._receive()) is not None:
                self._deliver(report)
        except ValueError as error:  # msgspec's errors are ValueErrors: a frame that is none
            log.error("runner %d sent a broken frame: %s", self.pid, error)
            self.kill()
        await self._gone()
        if not self._closing:
            log.error("runner %d died%s", self.pid, await self._last_words())
        self._give_up(RunnerDied(f"{DIED}{await self._last_words()}", hint=DIED_HINT))

    def _deliver(self, report: Report) -> None:
        match report:
            case Step(pieces=pieces, done=done):
                for part in (*pieces, *done):
                    self._put(part.id, part)
            case Vectors() | Tokens() | MediaSizes() | Text() | Stats() | Failed():
                self._put(report.id, report)
            case _:
                log.warning("runner %d sent an unexpected %s", self.pid, type(report).__name__)

    def _put(self, request_id: int, report: Report | Piece | RequestCanceled) -> None:
        inbox = self._inboxes.get(request_id)
        if inbox is not None:  # else it was cancelled, and this was already on its way
            inbox.put_nowait(report)
            if isinstance(report, Done | Failed | RequestCanceled):
                self._ended(request_id)
            elif isinstance(report, Piece) and (watcher := self._watchers.get(request_id)):
                watcher.on_piece(report)

    def _ended(self, request_id: int) -> None:
        if watcher := self._watchers.pop(request_id, None):
            watcher.on_end()

    def _give_up(self, error: RunnerDied) -> None:
        self.died.set()
        for inbox in self._inboxes.values():
            inbox.put_nowait(error)
        for request_id in list(self._watchers):
            self._ended(request_id)

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        # Not by lines: whatever comes must be taken, or the process would stand still with a full pipe.
        while chunk := await self._process.stderr.read(LAST_STDERR_BYTES):
            log.debug("runner %d: %s", self.pid, chunk.decode("utf-8", "replace").rstrip())
            self._stderr += chunk
            del self._stderr[:-LAST_STDERR_BYTES]

    async def _last_words(self) -> str:
        """`: why`, from the exit code and what the process wrote before it ended."""
        await asyncio.wait(self._tasks[:1], timeout=1.0)  # never `await` the task: its awaiter's end would be its own
        code = self._process.returncode
        reason = f" (signal {-code})" if code is not None and code < 0 else ""
        lines = [line for line in self._stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        telling = [line for line in lines if "ASSERT" in line or "rror" in line] or lines
        return f"{reason}: {telling[-1]}" if telling else reason


def _rows(report: Vectors, count: int) -> Iterator[tuple[int, list[float]]]:
    """Number of input and vector; RunnerError where the frame is not what it says."""
    values = array("f")
    width, rest = divmod(len(report.values), max(1, len(report.inputs)) * values.itemsize)
    if rest or not width or not all(0 <= number < count for number in report.inputs):
        raise RunnerError("the runner sent vectors that do not fit the request")
    values.frombytes(report.values)
    if sys.byteorder == "big":
        values.byteswap()
    for row, number in enumerate(report.inputs):
        yield number, values[row * width : (row + 1) * width].tolist()


DIED = "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error"
DIED_HINT = "The next request starts it again; a smaller num_ctx or fewer loaded models need less memory."


NO_MEMORY_HINT = "Choose a smaller num_ctx, a smaller quantization, or stop another model first."


def _load_hint(message: str, kind: str) -> str:
    if kind == "memory":
        return NO_MEMORY_HINT
    if "cache type" in message or "V cache" in message:
        return "Choose other types with cache_type_k and cache_type_v; f16 is what every model takes."
    return "The file may be broken, or made for a newer llama.cpp; try to create or pull the model again."
