"""A route as gin has it, for the tables of `app.py` and of the dialects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ollama_engine.server.security.permissions import check_permission

Endpoint = Callable[[Request], Awaitable[Response]]


class ExactRoute(Route):
    """A route that has the methods it names and no HEAD that nobody asked for, for those who may call it."""

    def __init__(self, path: str, endpoint: Endpoint, *methods: str) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.methods = set(methods)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self.methods:
            check_permission(scope, self.path)
        await super().handle(scope, receive, send)
