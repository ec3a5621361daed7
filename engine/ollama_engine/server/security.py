"""Which web pages and which host names may reach the API: CORS and the Host rule (spec §0.1), as ASGI middleware.

The Host rule stops DNS rebinding: a page whose name was re-pointed at this machine sends its own name as Host. CORS
runs before it. Better than Ollama: an empty or doubled Host is refused, `:*` stands for a port and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

import psutil
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PRIVATE = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_LOCAL_ORIGINS = (
    *(
        f"{scheme}://{host}{port}"
        for scheme in ("http", "https")
        for host in ("localhost", "127.0.0.1", "0.0.0.0")
        for port in ("", ":*")
    ),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_STAINLESS = (
    *("arch", "async", "custom-poll-interval", "helper-method", "lang", "os", "package-version", "poll-helper"),
    *("retry-count", "runtime", "runtime-version", "timeout"),
)
_HEADERS = ",".join(
    (
        *("Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "OpenAI-Beta"),
        # What Anthropic's client sends from a browser; the rest of the list is Ollama's.
        *("x-api-key", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access"),
        *(f"x-stainless-{name}" for name in _STAINLESS),
    )
)
_MAX_AGE = str(12 * 60 * 60)


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only."""
    name = host.lower()
    address = _address(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def host_without_port(header: str) -> str:
    """The host of a Host header: brackets and port off; empty where a bracket is left open."""
    if header.startswith("["):
        host, closed, _ = header[1:].partition("]")
        return host if closed else ""
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def is_local_name(host: str) -> bool:
    name = host.lower()
    return bool(name) and (name in ("localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_SUFFIXES))


def is_local_address(host: str) -> bool:
    """Loopback, private, unspecified, or an address of this machine."""
    address = _address(host)
    if address is None:
        return False
    if address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE):
        return True
    return address in _interface_addresses()


def _interface_addresses() -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    texts = (entry.address for entries in psutil.net_if_addrs().values() for entry in entries)
    return {address for text in texts if (address := _address(text))}


class HostRule:
    """Refuses hosts that are not this machine (403, empty body). For servers bound to a loopback address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
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


class CORS:
    """Answers preflights and refuses pages of other origins (403, empty body), whatever the method.

    Args:
        origins: OLLAMA_ORIGINS; local pages and desktop shells are allowed beside them. `*` stands for any text,
            and alone for every origin.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self.app = app
        self.allow_all = "*" in origins
        self.allowed = re.compile("|".join(_pattern(origin) for origin in (*origins, *_LOCAL_ORIGINS)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        host = headers.get("host", "")
        if scope["type"] != "http" or not origin or origin in (f"http://{host}", f"https://{host}"):
            await self.app(scope, receive, send)
        elif not self.allow_all and not self.allowed.fullmatch(origin.lower()):
            await Response(status_code=403)(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=self._preflight(origin))(scope, receive, send)
        else:
            await self.app(scope, receive, self._marking(send, origin))

    def _preflight(self, origin: str) -> dict[str, str]:
        headers = {
            "Access-Control-Allow-Origin": "*" if self.allow_all else origin,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
        if not self.allow_all:
            headers["Vary"] = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        return headers

    def _marking(self, send: Send, origin: str) -> Send:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*" if self.allow_all else origin
                if not self.allow_all:
                    headers.add_vary_header("Origin")
            await send(message)

        return send_marked


def _pattern(origin: str) -> str:
    text = origin.lower()
    if text.endswith(":*"):
        return re.escape(text[:-1]) + r"\d{1,5}"
    return ".*".join(map(re.escape, text.split("*")))
