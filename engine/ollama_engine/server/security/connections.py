"""Connections that do not end, and heads that do not fit: uvicorn's protocol with bounds (spec §14).

uvicorn on httptools bounds neither the size of a head, nor the number of its fields, nor how long anything takes to
come, and a single idle connection more than `limit_concurrency` makes it refuse everybody. Here every state of a
connection but one has its time:

    waiting   for a request: client_timeout, after an answer IDLE_SECONDS
    head      has begun to come: client_timeout, all of it
    body      is coming: client_timeout of silence, less where it comes slower than MIN_RATE
    answer    is being made: as long as that takes; once begun, client_timeout for a client that does not read it
    rest      of a body whose request has been answered: LINGER_SECONDS, so that the client sees the answer

Beyond `connections` at once a new one takes the place of that which has been without a request longest; 503 where all
have one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ollama_engine.errors import Busy, EngineError, InvalidRequest
from ollama_engine.server.errors import error_response

IDLE_SECONDS = 120
"""Idle connections. Go's server keeps them for ever; clients pool them and trip over a close they did not expect."""
LINGER_SECONDS = 5.0
MIN_RATE = 240
"""Bytes a second of a body, on average once it has come for `client_timeout`."""
MAX_PIPELINED = 16
"""Requests that may come before the first of them is answered."""


class HeadTooLarge(InvalidRequest):
    status = 431


class TargetTooLong(InvalidRequest):
    status = 414


class TooSlow(InvalidRequest):
    status = 408


@dataclass(frozen=True)
class ConnectionLimits:
    """`connections` at once; `client_timeout` in seconds; bytes of a request's line and head; fields of a head."""

    connections: int = 1000
    client_timeout: float = 60.0
    target: int = 16 << 10
    head: int = 64 << 10
    fields: int = 100


class State(Enum):
    WAITING = "waiting"
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    REST = "rest"
    REFUSED = "refused"


WITHOUT_REQUEST = (State.WAITING, State.HEAD, State.REST, State.REFUSED)
"""States in which a connection may be closed to make room."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. uvicorn makes it, with everything but the `limits`."""

    def __init__(
        self,
        limits: ConnectionLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self.since = self.loop.time()
        """When its state began."""
        self._in_head = False
        self._in_body = False
        self._refused = False
        self._stalled = False
        """The client does not read what it is sent."""
        self._stirred = False
        """Something has come since an answer was given, if only an empty line."""
        self._unanswered: list[RequestResponseCycle] = []
        """uvicorn itself knows the latest only."""
        self._head_size = 0
        self._incomplete_size = 0
        """Bytes of a head that has not ended."""
        self._silent_size = 0
        """Bytes of a body's framing (chunk extensions, trailers) since the last ones that it holds."""
        self._problem: EngineError | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> State:
        if self._refused:
            return State.REFUSED
        if self._in_head:
            return State.HEAD
        if self._in_body:
            return State.BODY if self._unanswered else State.REST
        return State.ANSWER if self._unanswered else State.WAITING

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.flow = _WatchedFlow(transport, self._enter)
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(Busy("too many connections", hint="Try again later.", retry_after=5.0))
        else:
            self._allow(self.limits.client_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._allow(None)
        self._forsake()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        state, in_head = self.state, self._in_head
        if state is State.WAITING and not self._stirred:
            self._stirred = True
            self._allow(self.limits.client_timeout)
        elif state is State.BODY:
            self._credit(len(data))
        self._silent_size += len(data)
        self._unset_keepalive_if_required()
        self._feed(data)
        if self._refused:
            return
        if in_head and self._in_head:
            # The parser tells of a field when it is whole, and gathers what has come of it.
            self._incomplete_size += len(data)
            if self._incomplete_size > self.limits.head:
                self._refuse(_head_too_large(self.limits))
        elif self._in_body and self._silent_size > self.limits.head:
            self._refuse(HeadTooLarge("the request's chunks say too much beside what they hold"))

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._problem or InvalidRequest("the request is not HTTP/1.1"))

    def _decline(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 where a client offers another protocol, as Java's does with every request.

        The parser leaves off there, and passes over the body. So its head is read once more, without the offer, and
        then the `rest` of what came.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(InvalidRequest("this is no proxy"))
            return
        offer = (b"connection", b"upgrade", b"http2-settings")
        lines = [method + b" " + self.url + b" HTTP/1.1"]
        lines += [name + b": " + value for name, value in self.headers if name not in offer]
        self.parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join([*lines, b"", b""]) + rest)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = True
        self._allow(self.limits.client_timeout)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = False
        self._enter()

    # What the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_size, self._incomplete_size = True, 0, 0
        self._enter()

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        if self._head_size > self.limits.target:
            raise self._found(TargetTooLong("the request's address is too long", hint="Send it in the body."))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: what a request is has been decided by its head
        super().on_header(name, value)
        self._head_size += len(name) + len(value) + 4
        if len(self.headers) > self.limits.fields or self._head_size > self.limits.head:
            raise self._found(_head_too_large(self.limits))

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # _decline comes next
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._found(Busy("too many requests at once on one connection"))
        self._in_head, self._in_body, self._silent_size = False, True, 0
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self._enter()

    def on_body(self, body: bytes) -> None:
        self._silent_size = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:
            return
        super().on_message_complete()
        self._in_body = False
        self._enter()

    # What uvicorn calls

    def on_response_complete(self) -> None:
        self._unanswered = [cycle for cycle in self._unanswered if not cycle.response_complete]
        super().on_response_complete()
        self._enter()

    # Time

    def _enter(self) -> None:
        """Begin the time of the state that the connection is in now."""
        self.since, self._stirred = self.loop.time(), False
        state = self.state
        if state is State.ANSWER or (state is State.BODY and self.flow.read_paused):
            # While its body waits to be read here, it is not the client that is slow.
            self._allow(self.limits.client_timeout if self._stalled else None)
        elif state in (State.HEAD, State.BODY):
            self._allow(self.limits.client_timeout)
        else:
            self._allow(LINGER_SECONDS if state in (State.REST, State.REFUSED) else IDLE_SECONDS)

    def _allow(self, seconds: float | None) -> None:
        """Let the state last for `seconds` from now; None: for ever."""
        self._deadline = None if seconds is None else self.loop.time() + seconds
        if self._timer is not None and (self._deadline is None or self._timer.when() > self._deadline):
            self._timer.cancel()
            self._timer = None
        if self._deadline is not None and self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._look_at_the_clock)

    def _credit(self, size: int) -> None:
        """Time for `size` bytes of a body that have come; never more than for a body that has just begun."""
        if self._deadline is not None:
            latest = self.loop.time() + self.limits.client_timeout
            self._deadline = min(self._deadline + size / MIN_RATE, latest)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.loop.time() < self._deadline:
            self._timer = self.loop.call_at(self._deadline, self._look_at_the_clock)
        elif self._stalled or self.state is State.REFUSED:
            self.transport.abort()
        elif self.state is State.HEAD:
            self._refuse(TooSlow("the request's head took too long to come"))
        elif self.state is State.BODY:
            self._refuse(TooSlow("the request's body took too long to come"))
        else:
            self.transport.close()

    # Refusals

    def _found(self, problem: EngineError) -> EngineError:
        """`problem`, to raise inside the parser, which tells only that something was raised."""
        self._problem = problem
        return problem

    def _refuse(self, problem: EngineError) -> None:
        """Answer with `problem`, unless an answer has begun, and read no further request."""
        if self.transport.is_closing():
            return
        # The answer to one request must not come for an earlier one, nor inside another answer.
        out_of_turn = len(self._unanswered) > (0 if self._in_head else 1)
        out_of_turn = out_of_turn or any(cycle.response_started for cycle in self._unanswered)
        self._refused = True
        self._forsake()
        if out_of_turn:
            self.transport.close()
            return
        self.transport.write(_answer(problem, getattr(self, "url", b"")))
        if self.transport.can_write_eof():
            # The client may still be sending: to close now would be to reset, and the answer would be lost.
            self.transport.write_eof()
        self.flow.resume_reading()
        self._enter()

    def _forsake(self) -> None:
        """Let the requests that run know that nobody waits for their answers."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()

    def _make_room(self) -> bool:
        """Close the connection that has been without a request longest; false where there is none."""
        idle = [each for each in self.connections if isinstance(each, BoundedProtocol) and each is not self]
        idle = [each for each in idle if each.state in WITHOUT_REQUEST and not each.transport.is_closing()]
        if not idle:
            return False
        min(idle, key=lambda each: each.since).transport.abort()
        return True


class _WatchedFlow(FlowControl):
    """Tells when reading goes on, or stops."""

    def __init__(self, transport: asyncio.Transport, changed: Callable[[], None]) -> None:
        super().__init__(transport)
        self._changed = changed

    def pause_reading(self) -> None:
        if not self.read_paused:
            super().pause_reading()
            self._changed()

    def resume_reading(self) -> None:
        if self.read_paused:
            super().resume_reading()
            self._changed()


def _head_too_large(limits: ConnectionLimits) -> HeadTooLarge:
    return HeadTooLarge(
        "the request's head is too large",
        hint=f"It may hold {limits.fields} fields and {limits.head >> 10} KiB.",
    )


def _answer(problem: EngineError, target: bytes) -> bytes:
    """A whole answer, in the dialect of the path as far as that has come."""
    response = error_response(problem, target.partition(b"?")[0].decode("latin-1"))
    status = HTTPStatus(response.status_code)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(response.body)])
