"""Who sent a request: what `authentication` finds out, and endpoints may ask (`client_of`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from ollama_engine.keys import Key
from ollama_engine.keys import Scope as KeyScope
from ollama_engine.server.security.addresses import address_of, is_loopback

_SCOPE_KEY = "ollama_engine.client"
_FORWARDED = frozenset((b"x-forwarded-for", b"x-real-ip", b"forwarded", b"cf-connecting-ip", b"true-client-ip"))
"""Headers in which proxies say for whom they ask."""
_PROXIED = frozenset((b"via", b"x-forwarded-host", b"x-forwarded-proto"))
"""Headers that say there is a proxy, and nothing of the client."""


@dataclass(frozen=True)
class Client:
    """Who sent a request.

    Attributes:
        address: the peer's, or the one that a trusted proxy gives for it; empty where there is none.
        local: it is a program on this machine, and asks for itself.
        key: the key that it sent, if that is a known one.
        scope: what it may do; None: nothing that needs permission.
    """

    address: str = ""
    local: bool = False
    key: Key | None = None
    scope: KeyScope | None = None

    @property
    def name(self) -> str:
        """The address, and whose key it has."""
        return f"{self.address} ({self.key.name})" if self.key else self.address

    @property
    def is_admin(self) -> bool:
        return self.scope == "admin"


NOBODY = Client()


def client_of(scope: Scope) -> Client:
    """Who sent the request of this ASGI scope; somebody who may do nothing where nobody has looked yet."""
    return scope.get(_SCOPE_KEY, NOBODY)


def set_client(scope: Scope, client: Client) -> None:
    scope[_SCOPE_KEY] = client


def asks_for_itself(peer: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request came from a program on this machine that is no proxy for somebody elsewhere.

    A proxy on this machine makes everybody a loopback peer. What it adds to requests can only take that privilege away:
    every address that it names has to be loopback, too, so that a header of the client's own beside it is no way in.
    """
    if not is_loopback(peer):
        return False
    proxied, named = False, []
    for name, value in headers:
        if name in _FORWARDED:
            named += [_forwarded_address(part) for part in value.decode("latin-1").split(",")]
        proxied = proxied or name in _PROXIED
    return all(is_loopback(address) for address in named) if named else not proxied


def _forwarded_address(text: str) -> str:
    """The address of an element of X-Forwarded-For, or of Forwarded (RFC 7239), port and quotes off."""
    fields = [field.strip().partition("=") for field in text.lower().split(";")]
    address = next((value for name, _, value in fields if name == "for"), "") if "=" in text else text.strip()
    address = address.strip('"')
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def shown_address(text: str) -> str:
    """`text` where it is an address: what a proxy's header says may be anything."""
    address = address_of(text)
    return str(address) if address else "unknown"
