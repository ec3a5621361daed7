"""`/api/requests` and `/api/pin`, which are ours: what the engine works on, and what stays in memory.

GET    /api/requests        {"requests": [...]}, oldest first
DELETE /api/requests/ID     end one; answered when it takes nothing any more
POST   /api/pin             {"model", "pinned"}: load a model and keep it, or let it go by its keep-alive again
"""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import RequestView


class PinRequest(Struct):
    model: str = ""
    pinned: bool = True


class RequestList(Struct):
    requests: list[RequestView]


class Requests:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def list(self, request: Request) -> Response:
        return json_response(RequestList(await self.engine.requests()))

    async def cancel(self, request: Request) -> Response:
        await self.engine.cancel(request.path_params["id"])
        return Response()

    async def pin(self, request: Request) -> Response:
        body = await read_request(request, PinRequest, aliases={"name": "model"})
        if not body.model:
            raise InvalidRequest("model is required")
        await while_connected(self.engine.pin(body.model, pinned=body.pinned), request.receive)
        return Response()
