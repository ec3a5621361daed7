"""Which host names a request may be sent to (spec §0.1), as ASGI middleware.

This stops DNS rebinding: a web page whose name was re-pointed at this machine sends its own name as Host. It is for who
is let in without a key, since no page can know one. Better than Ollama: an empty or doubled Host is refused, and so is
a foreign one at a server that is bound to all addresses, where a browser on this machine would be let in by loopback.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_engine.server.security.addresses import host_without_port, is_local_address, is_local_name
from ollama_engine.server.security.clients import client_of


class HostRule:
    """Refuses hosts that are not this machine: 403, with an empty body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = client_of(scope)
        if scope["type"] != "http" or client.key is not None or client.scope is None:
            await self.app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        host = host_without_port(hosts[0]) if len(hosts) == 1 else ""
        if is_local_name(host):
            if scope["method"] == "OPTIONS":
                await Response(status_code=204)(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        elif is_local_address(host):
            await self.app(scope, receive, send)
        else:
            await Response(status_code=403)(scope, receive, send)
