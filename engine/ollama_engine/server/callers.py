"""Who sends a request (ASGI middleware): the scheduler takes turns between callers, and a list of requests names them.

A client is its address. Programs of this machine all have the same one, so that they are told apart by the name that
they give themselves (`User-Agent`); what that is worth is that none of them has to wait for all requests of another.
"""

from __future__ import annotations

import re
import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_engine.caller import Caller, current_caller
from ollama_engine.server.security import is_loopback
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
    host = scope["client"][0] if scope.get("client") else UNKNOWN
    if not is_loopback(host):
        return Caller(host)
    headers = Headers(scope=scope)
    shown = headers.get(HEADER, "").encode()
    if terminal_pass and secrets.compare_digest(shown, terminal_pass.encode()):
        return Caller(f"{host} (terminal)", local=True)
    product = _PRODUCT.match(headers.get("user-agent", ""))
    return Caller(f"{host} {product[0]}" if product else host)
