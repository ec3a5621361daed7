"""Ending without cutting anyone off: requests under way finish, new ones are refused (ASGI middleware).

`serve.py` decides when: `begin()` when told to stop, `cut_off()` when it has waited long enough.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_engine.errors import Busy
from ollama_engine.server.errors import error_response

SHUTTING_DOWN = "shutting down"
"""`reason` of the http.disconnect message that an endpoint receives when the server waits for it no longer."""

ANSWERED_TO_THE_END = ("/healthz", "/metrics")
"""Paths that are answered while the server drains: a process that is asked whether it lives still does, and what it
does at its end is worth knowing."""


class Drain:
    """The state that `serve.py` and the middleware share. Belongs to one event loop."""

    def __init__(self) -> None:
        self.draining = False
        self.active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._cut_off = asyncio.Event()

    def begin(self) -> None:
        """Refuse new requests from now on."""
        self.draining = True

    def cut_off(self) -> None:
        """Tell the requests that still run to end now."""
        self._cut_off.set()

    async def idle(self) -> None:
        """Wait until no request runs."""
        await self._idle.wait()

    def enter(self) -> None:
        self.active += 1
        self._idle.clear()

    def leave(self) -> None:
        self.active -= 1
        if self.active == 0:
            self._idle.set()

    async def receive_or_cut_off(self, receive: Receive) -> Message:
        """The client's next message; a disconnect once requests are cut off."""
        message = asyncio.ensure_future(receive())
        cut_off = asyncio.ensure_future(self._cut_off.wait())
        try:
            await asyncio.wait({message, cut_off}, return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                return message.result()
        finally:
            for task in (message, cut_off):
                task.cancel()
            await asyncio.gather(message, cut_off, return_exceptions=True)
        return {"type": "http.disconnect", "reason": SHUTTING_DOWN}


class DrainRequests:
    """Counts requests in `drain`, and answers 503 instead of starting one while it drains."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self.app = app
        self.drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.drain.draining and scope["path"] not in ANSWERED_TO_THE_END:
            response = error_response(Busy("the server is shutting down", retry_after=5.0), scope["path"])
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        body_read = False

        async def receive_while_serving() -> Message:
            nonlocal body_read
            if body_read:
                return await self.drain.receive_or_cut_off(receive)
            message = await receive()
            # Uploads pass untouched: the race below costs two tasks a message, and matters to streams only.
            body_read = message["type"] == "http.request" and not message.get("more_body", False)
            return message

        self.drain.enter()
        try:
            await self.app(scope, receive_while_serving, send)
        finally:
            self.drain.leave()
