"""Runs the app until told to stop: bind, answer, drain, close. The `serve` command is the caller."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial

import uvicorn

from ollama_engine import terminal_pass
from ollama_engine.engine import Engine
from ollama_engine.server.app import create_app
from ollama_engine.server.drain import Drain
from ollama_engine.server.listener import listen
from ollama_engine.server.open_files import affordable_connections
from ollama_engine.server.security.connections import IDLE_SECONDS, BoundedProtocol, ConnectionLimits
from ollama_engine.server.tls import Certificate
from ollama_engine.settings import HostAddress, Settings

_LOG = logging.getLogger("ollama_engine.server")

DRAIN_SECONDS = 30.0
"""How long running requests may take to finish once the server is told to stop."""

_GOODBYE_SECONDS = 2.0
"""How long requests that were cut off may take to send their last line."""


async def serve(
    settings: Settings,
    engine: Engine,
    *,
    on_ready: Callable[[HostAddress], None] | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> int:
    """Serve `engine` at `settings.host` until SIGTERM or SIGINT, then close it. Returns the exit status, 0.

    The first signal drains: new requests get 503, running ones finish within `drain_seconds`; what still runs then,
    or at a second signal, ends with an error that says so.

    Args:
        on_ready: called once with the address, its real port included, when requests are answered.

    With a certificate (`settings.tls_cert`) SIGHUP loads it again, unless a terminal may have sent that.

    Raises:
        CannotListen: the address cannot be bound.
        InvalidRequest: the certificate cannot be used.
    """
    try:
        certificate = Certificate.of(settings)
        listener, address = listen(settings.host, scheme="https" if certificate else "http")
        with contextlib.closing(listener):
            drain = Drain()
            with _terminal_pass(address) as shown:
                app = create_app(engine, replace(settings, host=address), drain=drain, terminal_pass=shown)
                config = _config(app, settings, certificate)
                server = _Server(config, on_started=lambda: _announce(address, on_ready))
                with _stop_signals() as signals, _reload_signal(certificate):
                    await _run(server, listener, drain, signals, drain_seconds)
    finally:
        await engine.aclose()
    return 0


@contextlib.contextmanager
def _terminal_pass(address: HostAddress) -> Iterator[str]:
    text = terminal_pass.issue(address.port)
    try:
        yield text
    finally:
        terminal_pass.revoke(address.port, text)


def _config(app: Callable[..., Awaitable[None]], settings: Settings, certificate: Certificate | None) -> uvicorn.Config:
    limits = ConnectionLimits(affordable_connections(settings.max_connections), settings.client_timeout)
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, limits),  # pyright: ignore[reportArgumentType] - called as the class would be
        lifespan="off",
        ws="none",
        log_config=None,
        # Its warnings are of what strangers sent, once for every request.
        log_level="info" if settings.debug else "error",
        access_log=settings.debug,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(_GOODBYE_SECONDS),
    )
    config.load()
    config.ssl = certificate.context if certificate else None
    return config


def _announce(address: HostAddress, on_ready: Callable[[HostAddress], None] | None) -> None:
    _LOG.debug("listening at %s", address.url)
    if on_ready is not None:
        on_ready(address)


class _Server(uvicorn.Server):
    """Uvicorn with the signals left to us, and a call when it answers."""

    def __init__(self, config: uvicorn.Config, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.on_started()


class _Signals:
    """The first and the second time that somebody asked to stop."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def stop(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


@contextlib.contextmanager
def _stop_signals() -> Iterator[_Signals]:
    signals = _Signals()
    loop = asyncio.get_running_loop()
    previous: dict[signal.Signals, object] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            # signal.signal, not loop.add_signal_handler: Windows has only this one, and it can be put back.
            previous[number] = signal.signal(number, lambda *_: loop.call_soon_threadsafe(signals.stop))
        except ValueError:  # not in the main thread: whoever runs us there stops us by cancelling
            break
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType] - what signal.signal returned


@contextlib.contextmanager
def _reload_signal(certificate: Certificate | None) -> Iterator[None]:
    hangup = getattr(signal, "SIGHUP", None)
    # At a terminal the signal means that it was closed, and has to end the server.
    if certificate is None or hangup is None or (sys.stdin and sys.stdin.isatty()):
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        previous = signal.signal(hangup, lambda *_: loop.call_soon_threadsafe(certificate.reload))
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(hangup, previous)


async def _run(server: _Server, listener: socket.socket, drain: Drain, signals: _Signals, drain_seconds: float) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await _first_of(serving, signals.first.wait())
        if serving.done():
            return serving.result()
        await _drain(drain, signals, drain_seconds)
    finally:
        # Cancelled from outside nothing has drained yet; uvicorn gives the goodbyes their two seconds.
        drain.begin()
        drain.cut_off()
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
    return serving.result()


async def _drain(drain: Drain, signals: _Signals, seconds: float) -> None:
    drain.begin()
    if drain.active:
        _LOG.info("stopping: %d requests may take %.0f s to finish; interrupt again to end them", drain.active, seconds)
    await _first_of(drain.idle(), signals.second.wait(), timeout=seconds)
    if drain.active:
        _LOG.warning("ending %d requests that still run", drain.active)


async def _first_of(*awaitables: Awaitable[object], timeout: float | None = None) -> None:
    """Wait for one of them; the others are cancelled, except tasks, which are their owner's."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task, each in zip(tasks, awaitables, strict=True):
            if task is not each:
                task.cancel()
