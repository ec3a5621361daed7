"""How a command works on an engine: `with_engine(invocation, verb)` opens it, awaits the verb, closes it.

Ctrl-C cancels the verb: its streams close, which is how a request is cancelled, and the engine ends its runners.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from ollama_engine.engine import Engine
from ollama_engine.errors import ServerUnreachable
from ollama_tui.cli.root import Invocation
from ollama_tui.connect import is_this_machine, open_engine, require_server, server_answers

T = TypeVar("T")
Verb = Callable[[Engine], Awaitable[T]]


def with_engine(invocation: Invocation, verb: Verb[T]) -> T:
    """Await `verb` on the server at `settings.host`, or on an engine of our own (see `ollama_tui.connect`)."""

    async def work() -> T:
        async with open_engine(invocation.settings, server_only=invocation.host is not None) as engine:
            return await verb(engine)

    return asyncio.run(work())


def with_server(invocation: Invocation, verb: Verb[T], *, otherwise: Callable[[], T]) -> T:
    """Await `verb` on the server, or take `otherwise()` where this machine runs none: nothing is in memory then.

    Raises:
        ServerUnreachable: the address is another machine's, or was given with `--host`.
    """

    async def work() -> T:
        settings = invocation.settings
        if await server_answers(settings):
            async with open_engine(settings, server_only=True) as engine:
                return await verb(engine)
        if invocation.host is not None or not is_this_machine(settings.host):
            await require_server(settings)
        return otherwise()

    return asyncio.run(work())


def needs_server(invocation: Invocation, so: str) -> NoReturn:
    """What a command says that is of no use without a server: `so` there is nothing to stop."""
    raise ServerUnreachable(
        f"no server is running at {invocation.settings.host.client.url}",
        hint=f"Only a server keeps models in memory between commands; {so}.",
    )
