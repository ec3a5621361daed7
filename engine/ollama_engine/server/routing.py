"""A route as gin has it, for the tables of the dialects: a path, its methods, and what they take and give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from ollama_engine.server.operations import Body, Group, Operation, Query
from ollama_engine.server.security.permissions import check_permission

Endpoint = Callable[[Request], Awaitable[Response]]


class _WholePath(PathConvertor):
    """All that is left of a path, also where it has line breaks in it."""

    regex = "(?s:.*)"


register_url_convertor("name", _WholePath())


class ExactRoute(Route):
    """A route that has the methods it names and no HEAD that nobody asked for, for those who may call it.

    A request that it answers finds the route itself under `route` in its scope.
    """

    def __init__(self, path: str, endpoint: Endpoint, *methods: str, operation: Operation) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.methods = set(methods)
        self.operation = operation

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is not Match.NONE:
            found["route"] = self
        return match, found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self.methods:
            check_permission(scope, self.path)
        await super().handle(scope, receive, send)


@dataclass(frozen=True)
class Table:
    """Makes the routes of one group: `table("GET HEAD", "/api/version", version, "The server's version", ...)`."""

    group: Group

    def __call__(
        self,
        methods: str,
        path: str,
        endpoint: Endpoint,
        summary: str,
        *,
        details: str = "",
        takes: Any = None,
        gives: Any = None,
        streams: Body | None = None,
        statuses: tuple[int, ...] = (200,),
        query: tuple[Query, ...] = (),
        deprecated: bool = False,
    ) -> ExactRoute:
        """A route; its arguments are Operation's, where a bare type stands for a JSON body of that type.

        Args:
            gives: the answer in one piece; several where it comes in several media types.
            streams: the answer to a request that asks for a stream.
        """
        kinds = (*(gives if isinstance(gives, tuple) else (gives,)), streams)
        operation = Operation(
            summary=summary,
            group=self.group,
            details=details,
            takes=_body(takes),
            gives=[body for kind in kinds if (body := _body(kind))],
            statuses=statuses,
            query=query,
            deprecated=deprecated,
        )
        return ExactRoute(path, endpoint, *methods.split(), operation=operation)


def _body(kind: Any) -> Body | None:
    return kind if kind is None or isinstance(kind, Body) else Body(kind)
