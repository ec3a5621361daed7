"""What of Ollama's is on this machine already, a server or a store, and what one can do with it. The first run says so.

A server is asked for its version and its models; of a store only the names are read. Neither is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.errors import EngineError
from ollama_engine.settings import HostAddress, Settings
from ollama_engine.store.store import Store
from ollama_tui.connect import is_ours, is_this_machine, listens, server_answers
from ollama_tui.suggestions import is_toy
from ollama_tui.text import one_line

SERVER = HostAddress()
STORES = (Path("~/.ollama/models"), Path("/usr/share/ollama/.ollama/models"))
"""Where Ollama keeps models: started by a user, and as the service that its installer makes."""
PATIENCE = 5.0
"""Seconds that another server has to answer."""


@dataclass(frozen=True)
class FoundServer:
    address: HostAddress
    version: str
    models: int
    used: bool
    """Whether it is the one that this program works on."""


@dataclass(frozen=True)
class FoundStore:
    root: Path
    models: int
    used: bool


async def notice(settings: Settings, *, server: HostAddress = SERVER, stores: Sequence[Path] = STORES) -> str:
    """What is here already, in words; "" where there is nothing but what this program brought itself."""
    try:
        connected = await server_answers(settings)
    except EngineError:
        connected = False  # the link to the engine tells of it
    found = await find_server(settings, server)
    told = [server_words(found)] if found is not None else []
    if not connected:
        told += map(store_words, await asyncio.to_thread(find_stores, settings.models, stores))
    return " ".join(told)


async def find_server(settings: Settings, address: HostAddress) -> FoundServer | None:
    """Ollama's own server at `address`; None where nobody answers, or it is one of this program's."""
    if not await listens(address.client):
        return None
    from ollama_engine.remote import RemoteEngine, answers  # with httpx, which takes long to import

    used = is_this_machine(settings.host) and settings.host.port == address.port
    api_key = settings.api_key if used else None
    try:
        async with asyncio.timeout(PATIENCE):
            if not await answers(address, api_key) or await is_ours(address):
                return None
            async with RemoteEngine(address, api_key=api_key) as engine:
                return FoundServer(address, await engine.version(), len(await engine.models()), used)
    except (EngineError, TimeoutError):
        return None


def find_stores(ours: Path, stores: Sequence[Path]) -> list[FoundStore]:
    """The stores with other models than the toy, that of this program first. Reads folders."""
    roots = dict.fromkeys([ours.expanduser(), *(store.expanduser() for store in stores)])
    found = [FoundStore(root, _count(root), root == ours.expanduser()) for root in roots]
    return [store for store in found if store.models]


def _count(root: Path) -> int:
    """Models in a store; none where it cannot be read."""
    try:
        return sum(not is_toy(name.display) for name in Store(root).names())
    except (EngineError, OSError):
        return 0


def server_words(server: FoundServer) -> str:
    where, name = f"{server.address.host}:{server.address.port}", f"Ollama {one_line(server.version)}"
    if server.used:
        return f"Connected to {name} at {where}: its {_models(server.models, 'is', 'are')} in the Library."
    return f"{name} answers at {where}, with {_models(server.models)}: 'ollama-tui --host {where}' uses it."


def store_words(store: FoundStore) -> str:
    where = one_line(_short(store.root))
    if store.used:
        there = _models(store.models, "is", "are")
        return f"Found Ollama's store {where}: its {there} in the Library."
    return f"{where} has {_models(store.models)}: ':set models {where}' takes that store."


def _models(count: int, one: str = "", many: str = "") -> str:
    return f"{count} {'model' if count == 1 else 'models'} {one if count == 1 else many}".rstrip()


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
