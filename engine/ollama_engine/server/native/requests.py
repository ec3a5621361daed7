"""`/api/requests` and `/api/pin`, which are ours: what the engine works on, and what stays in memory.

Who is no administrator sees, and ends, requests of his own.

GET    /api/requests        {"requests": [...]}, oldest first
DELETE /api/requests/ID     end one; answered when it takes nothing any more
POST   /api/pin             {"model", "pinned"}: load a model and keep it, or let it go by its keep-alive again
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.caller import current_caller
from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, NotFound
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.security.clients import client_of
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import RequestView


class PinRequest(Struct):
    model: str = ""
    pinned: bool = True


class RequestList(Struct):
    requests: Sequence[RequestView]


class Requests:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def list(self, request: Request) -> Response:
        return json_response(RequestList(await self._visible(request)))

    async def cancel(self, request: Request) -> Response:
        id: str = request.path_params["id"]
        if not client_of(request.scope).is_admin and id not in [view.id for view in await self._visible(request)]:
            raise NotFound(f"there is no request '{id}'")
        await self.engine.cancel(id)
        return Response()

    async def _visible(self, request: Request) -> Sequence[RequestView]:
        views = await self.engine.requests()
        if client_of(request.scope).is_admin:
            return views
        return [view for view in views if view.client == current_caller.get().name]

    async def pin(self, request: Request) -> Response:
        body = await read_request(request, PinRequest, aliases={"name": "model"})
        if not body.model:
            raise InvalidRequest("model is required")
        await while_connected(self.engine.pin(body.model, pinned=body.pinned), request.receive)
        return Response()
