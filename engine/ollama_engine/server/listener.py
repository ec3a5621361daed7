"""The listening socket, bound before anything else starts: a taken port is one clear error."""

from __future__ import annotations

import errno
import socket
import sys

from ollama_engine.errors import EngineError
from ollama_engine.settings import HostAddress

_BACKLOG = 2048


class CannotListen(EngineError):
    """The address cannot be listened at; the message names it, the hint the way out."""


def listen(host: HostAddress, *, scheme: str = "http") -> tuple[socket.socket, HostAddress]:
    """A socket that listens at `host`, and the address it got: the number for a name, the real port for port 0.

    Args:
        scheme: what will be spoken there, whatever `host` says.

    Raises:
        CannotListen: the port is taken, not allowed, or the address is not this machine's.
    """
    listener: socket.socket | None = None
    try:
        family, sockaddr = _resolve(host)
        # With its protocol named, or asyncio leaves small writes to Nagle's algorithm: 40 ms an answer.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        _set_options(listener, family, host.host)
        listener.bind(sockaddr)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except (OSError, OverflowError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        raise _explained(host, error) from error
    address, port = listener.getsockname()[:2]
    return listener, HostAddress(scheme, address, port)


def _resolve(host: HostAddress) -> tuple[socket.AddressFamily, tuple]:
    found = socket.getaddrinfo(host.host, host.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # Go listens at the IPv4 address of a name that has both.
    found.sort(key=lambda entry: entry[0] is not socket.AF_INET)
    return found[0][0], found[0][4]


def _set_options(listener: socket.socket, family: socket.AddressFamily, host: str) -> None:
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and host == "::":
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _explained(host: HostAddress, error: Exception) -> CannotListen:
    elsewhere = "Choose another address, for example OLLAMA_HOST=127.0.0.1:11435."
    if isinstance(error, socket.gaierror | UnicodeError):
        return CannotListen(f"cannot listen at {host.url}: no such host '{host.host}'", hint=elsewhere)
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return CannotListen(
            f"cannot listen at {host.url}: the address is already in use",
            hint=f"Stop the server that runs there, or choose another address: {elsewhere.split()[-1]}",
        )
    if number == errno.EADDRNOTAVAIL:
        return CannotListen(f"cannot listen at {host.url}: this machine has no such address", hint=elsewhere)
    if number in (errno.EACCES, errno.EPERM):
        return CannotListen(
            f"cannot listen at {host.url}: permission denied", hint="Ports below 1024 need root; choose a higher one."
        )
    return CannotListen(f"cannot listen at {host.url}: {error}", hint=elsewhere)
