"""Who sends a request (ASGI middleware): the scheduler takes turns between callers, and a list of requests names them.

A client is its address, and the name of its key. Programs of this machine all have the same address, so that they are
told apart by the name that they give themselves (`User-Agent`); what that is worth is that none of them has to wait for
all requests of another.
"""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_engine.caller import Caller, current_caller
from ollama_engine.server.security.clients import client_of
from ollama_engine.terminal_pass import HEADER

_PRODUCT = re.compile(r"[A-Za-z0-9._+/-]{1,40}")
UNKNOWN = "unknown"


class NameCallers:
    """`terminal_pass`: what terminals of the server's own user show; empty where there is none."""

    def __init__(self, app: ASGIApp, terminal_pass: str = "") -> None:
        self.app = app
        self.terminal_pass = terminal_pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        before = current_caller.set(caller_of(scope, self.terminal_pass))
        try:
            await self.app(scope, receive, send)
        finally:
            current_caller.reset(before)


def caller_of(scope: Scope, terminal_pass: str = "") -> Caller:
    """As `authentication` has found the client out to be, its key's name included."""
    client = client_of(scope)
    name = client.name or UNKNOWN
    if not client.local:
        return Caller(name)
    headers = Headers(scope=scope)
    shown = headers.get(HEADER, "").encode()
    if terminal_pass and secrets.compare_digest(shown, terminal_pass.encode()):
        return Caller(f"{name} (terminal)", local=True)
    product = _PRODUCT.match(headers.get("user-agent", ""))
    return Caller(f"{name} {product[0]}" if product else name)
