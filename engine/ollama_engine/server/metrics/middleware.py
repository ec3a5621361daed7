"""Counts requests and times them (ASGI middleware)."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_engine.server.metrics.meters import UNKNOWN, Meters
from ollama_engine.server.routing import ExactRoute


@dataclass
class Measured:
    """A request that is being answered."""

    began: float
    model: str = ""
    """The label of the model that answers it; empty until one does."""


current: ContextVar[Measured | None] = ContextVar("measured", default=None)
"""The request that runs, also in the tasks that it starts."""


class CountRequests:
    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app = app
        self.meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        measured = Measured(time.perf_counter())
        status = 0

        async def watching_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = current.set(measured)
        self.meters.in_progress.inc()
        try:
            await self.app(scope, receive, watching_send)
        finally:
            current.reset(token)
            self.meters.in_progress.dec()
            route = scope.get("route")
            endpoint, method = UNKNOWN, ""
            if isinstance(route, ExactRoute):
                endpoint = route.path
                method = scope["method"] if scope["method"] in route.methods else UNKNOWN
            # No status: the client had gone before there was one.
            self.meters.requests.labels(endpoint, method, str(status or 499), measured.model).inc()
            self.meters.duration.labels(endpoint).observe(time.perf_counter() - measured.began)
