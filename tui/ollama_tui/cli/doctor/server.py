"""Who is at OLLAMA_HOST: a server, another program, or room for one?"""

from __future__ import annotations

import errno
import socket

from ollama_engine import __version__
from ollama_engine.keys import Keyring
from ollama_engine.settings import HostAddress
from ollama_tui.cli.doctor.finding import Finding, note, ok, wrong


def check_port(address: HostAddress, *, listens: bool, speaks_ollama: bool) -> Finding:
    """This machine's port: free for `serve`, or taken by whom."""
    where = f"{address.host}:{address.port}"
    if listens and speaks_ollama:
        return ok("port", f"a server answers at {address.client.url}; the commands use it")
    if listens:
        return wrong(
            "port",
            f"another program than a server of models listens at {where}",
            f"OLLAMA_HOST={address.host}:{address.port + 1} ollama-tui serve",
        )
    return check_bind(address)


def check_bind(address: HostAddress) -> Finding:
    where = f"{address.host}:{address.port}"
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address.host, address.port))
    except OSError as error:
        return wrong("port", f"no server can listen at {where}: {error.strerror or error}", _bind_fix(error, address))
    return ok("port", f"no server at {where}; the commands bring their own engine")


def _bind_fix(error: OSError, address: HostAddress) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"OLLAMA_HOST={address.host}:11434, or another port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return "OLLAMA_HOST=127.0.0.1:11434: this machine has no such address"
    return f"OLLAMA_HOST={address.host}:{address.port + 1}"


def check_remote(address: HostAddress, *, speaks_ollama: bool) -> Finding:
    """Another machine's server."""
    if speaks_ollama:
        return ok("server", f"a server answers at {address.client.url}")
    return wrong(
        "server",
        f"no server answers at {address.client.url}",
        "Start one there (ollama-tui serve), or correct OLLAMA_HOST.",
    )


def check_version(server: str, ours: bool) -> Finding:
    """`ours`: whether the server is one of this program's."""
    if not ours:
        return note(
            "server",
            f"it is Ollama {server}: what only this program's server has (devices, pulls, rerank) is not there",
        )
    if server != __version__:
        return wrong(
            "server",
            f"the server is version {server}, this is {__version__}",
            "Start the server anew: ollama-tui serve",
        )
    return ok("server", f"it is this program's, version {server}")


def check_exposure(address: HostAddress, require_key: str) -> Finding | None:
    """A server that other machines reach, and what they need to."""
    if address.host in ("127.0.0.1", "::1", "localhost"):
        return None
    where = f"a server at {address.host} can be reached from other machines"
    if require_key == "never":
        return wrong(
            "port", f"{where}, and asks nobody for a key", "OLLAMA_REQUIRE_KEY=remote, or OLLAMA_HOST=127.0.0.1"
        )
    return note("port", f"{where}, with a key", "OLLAMA_HOST=127.0.0.1 keeps it here")


def check_keys(keyring: Keyring) -> Finding:
    """The keys that a server of this machine takes. StoreError where they cannot be read."""
    known = len(keyring.known())
    return ok("keys", f"{known} known; a server that others reach makes one where there is none")
