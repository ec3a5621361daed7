"""Asks for a key, as ASGI middleware: finds out who a client is, and refuses those that may do nothing.

A key comes as `Authorization: Bearer KEY`, or as `x-api-key: KEY`, which is how Anthropic's clients send it. Who asks
from this machine itself needs none, but one that is sent is heeded: it may narrow what its holder may do. What a client
may do is checked where its request has found its endpoint (`permissions`).
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_engine.errors import Unauthorized
from ollama_engine.keys import Key, Keyring
from ollama_engine.keys import Scope as KeyScope
from ollama_engine.server.security.addresses import address_of
from ollama_engine.server.security.clients import Client, asks_for_itself, set_client, shown_address

OPEN_PATHS = frozenset(("/", "/healthz", "/readyz", "/docs", "/openapi.json"))
"""What anybody may see: that a server is there, whether it can be sent requests, and what its API is."""

_PEER = "ollama_engine.peer"


class KeyRequired(Unauthorized):
    """Of this server; elsewhere 401 is also the answer of an account that is not there."""


class RememberPeer:
    """Notes who is at the other end of the connection, before X-Forwarded-For is looked at.

    An IPv4 address that came in over an IPv6 socket is written as one, so that settings that name it mean it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if peer := scope.get("client"):
            address = address_of(peer[0])
            scope["client"] = scope[_PEER] = (str(address), peer[1]) if address else peer
        await self.app(scope, receive, send)


class Authenticate:
    """Notes the client of each request in its scope (`clients.client_of`).

    Args:
        keys: the keys that are known.
        require_key: who needs one, as the setting of that name has it.

    Raises:
        KeyRequired: a key is needed, and none that is known was sent.
    """

    def __init__(self, app: ASGIApp, keys: Keyring, require_key: str) -> None:
        self.app = app
        self.keys = keys
        self.require_key = require_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            token = _token(Headers(scope=scope))
            client = self._client(scope, token)
            set_client(scope, client)
            if client.scope is None and scope["path"] not in OPEN_PATHS:
                raise _unauthorized(sent=bool(token))
        await self.app(scope, receive, send)

    def _client(self, scope: Scope, token: str) -> Client:
        peer = _host(scope.get(_PEER))
        seen = _host(scope.get("client"))
        local = asks_for_itself(peer, scope["headers"])
        key = self.keys.find(token) if token else None
        return Client(seen if seen == peer else shown_address(seen), local, key, self._permitted(key, local))

    def _permitted(self, key: Key | None, local: bool) -> KeyScope | None:
        if key is not None:
            return key.scope
        if self.require_key == "never" or (self.require_key == "remote" and local):
            return "admin"
        return None


def _host(address: tuple[str, int] | None) -> str:
    return address[0] if address else ""


def _token(headers: Headers) -> str:
    """The key that was sent; empty where there is none, or more than one."""
    sent = headers.getlist("authorization")
    if len(sent) == 1:
        scheme, _, token = sent[0].partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    sent = headers.getlist("x-api-key")
    return sent[0].strip() if len(sent) == 1 else ""


def _unauthorized(*, sent: bool) -> KeyRequired:
    return KeyRequired(
        "unauthorized: the key is not known here" if sent else "unauthorized: this server asks for a key",
        hint="Send one as 'Authorization: Bearer KEY' (ollama-tui takes it from OLLAMA_API_KEY); "
        "'ollama-tui key new' on the server's machine makes one.",
    )
