"""Which engine a face of ours works on: a server that answers, or an engine in this process (spec §3, OLLAMA_HOST).

A server at `settings.host` is used whenever one answers. Where none does, an engine is embedded if the address is
this machine's, for its models are here as well. Another machine's models are not, so that its silence is an error.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ollama_engine.errors import ServerUnreachable

if TYPE_CHECKING:
    from ollama_engine.engine import Engine
    from ollama_engine.settings import HostAddress, Settings


HERE = "this machine"
"""Where an engine of our own is, in words."""


@asynccontextmanager
async def open_engine(settings: Settings, *, server_only: bool = False) -> AsyncIterator[Engine]:
    """The engine to work on, closed at the end.

    Args:
        server_only: never embed; the user asked for the server at that address (`--host`).

    Raises:
        ServerUnreachable: no server answers, and an embedded engine would not be what was asked for.
    """
    chosen, _where = await choose_engine(settings, server_only=server_only)
    async with chosen as engine:
        yield engine


async def choose_engine(settings: Settings, *, server_only: bool = False) -> tuple[Engine, str]:
    """As `open_engine`, for a caller that enters and closes the engine itself; also where it is, in words.

    What is imported is imported in a thread, so that a screen can be drawn meanwhile.
    """
    if await server_answers(settings):
        remote = await asyncio.to_thread(importlib.import_module, "ollama_engine.remote")
        return remote.RemoteEngine(settings.host, api_key=settings.api_key), address_label(settings)
    if server_only or not is_this_machine(settings.host):
        raise unreachable(settings.host)
    local = await asyncio.to_thread(importlib.import_module, "ollama_engine.local")
    return local.LocalEngine(settings), HERE


def address_label(settings: Settings) -> str:
    """`host:port` of the server that would be used."""
    host = settings.host.client
    return f"{host.host}:{host.port}"


async def server_answers(settings: Settings) -> bool:
    """Whether an Ollama-compatible server answers at `settings.host`."""
    if is_this_machine(settings.host) and not await listens(settings.host.client):
        # Known in a millisecond; the HTTP client takes a hundred times that to import.
        return False
    remote = await asyncio.to_thread(importlib.import_module, "ollama_engine.remote")
    return await remote.answers(settings.host, settings.api_key)


async def is_ours(address: HostAddress) -> bool:
    """Whether the server at `address` is this program's, and not Ollama's own. EngineError where none answers."""
    connection = await asyncio.to_thread(importlib.import_module, "ollama_engine.connection")
    asked = connection.Connection(address, None)
    try:
        async with asked.response("GET", "/healthz", quick=True) as response:
            return response.status_code == 200
    finally:
        await asked.aclose()


async def require_server(settings: Settings) -> None:
    """Raises ServerUnreachable where no server answers at `settings.host`."""
    if not await server_answers(settings):
        raise unreachable(settings.host)


def unreachable(address: HostAddress) -> ServerUnreachable:
    here = is_this_machine(address)
    return ServerUnreachable(
        f"could not connect to ollama server at {address.client.url}",
        hint="Run 'ollama-tui serve' to start it."
        if here
        else "Start a server there, or correct OLLAMA_HOST or --host.",
    )


def is_this_machine(address: HostAddress) -> bool:
    """Whether an address means this machine: loopback, or every interface of it as `serve` binds them."""
    if address.host.lower() == "localhost":
        return True
    try:
        ip = ipaddress.ip_address(address.client.host)
    except ValueError:
        return False
    return ip.is_loopback


async def listens(address: HostAddress) -> bool:
    """Whether anything accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.close()
    return True
