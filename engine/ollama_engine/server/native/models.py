"""`/api/tags`, `/api/ps`, `/api/show`, `/api/create`, `/api/copy`, `/api/delete` (spec §1.7-1.9)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidName, InvalidRequest, ModelNotFound
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.streaming import progress_answer
from ollama_engine.types import CreateRequest

_NAME = {"name": "model"}


class ShowRequest(Struct):
    model: str = ""
    verbose: bool = False
    system: str = ""
    template: str = ""
    options: dict[str, Any] | None = None


class CopyRequest(Struct):
    source: str = ""
    destination: str = ""


class DeleteRequest(Struct):
    model: str = ""


class Models:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def tags(self, request: Request) -> Response:
        return json_response({"models": await self.engine.models()})

    async def ps(self, request: Request) -> Response:
        """Models still loading for the first time are listed only with `?loading=true` (ours)."""
        models = await self.engine.running()
        if request.query_params.get("loading") != "true":
            models = [model for model in models if model.state != "loading"]
        return json_response({"models": models})

    async def devices(self, request: Request) -> Response:
        """What the machine computes on (ours)."""
        return json_response({"devices": await self.engine.devices()})

    async def show(self, request: Request) -> Response:
        body = await read_request(request, ShowRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        return json_response(await self.engine.show(body.model, verbose=body.verbose))

    async def create(self, request: Request) -> Response:
        body = await read_request(request, CreateRequest, aliases=_NAME | {"quantization": "quantize"})
        if not body.model:
            raise InvalidName("invalid model name")
        return progress_answer(self.engine.create(body), body.stream)

    async def copy(self, request: Request) -> Response:
        body = await read_request(request, CopyRequest)
        for role, name in (("source", body.source), ("destination", body.destination)):
            if not name:
                raise InvalidName(f'{role} "" is invalid')
        try:
            await self.engine.copy(body.source, body.destination)
        except ModelNotFound as error:
            raise ModelNotFound(error.name, f'model "{body.source}" not found', hint=error.hint) from error
        return Response()

    async def delete(self, request: Request) -> Response:
        body = await read_request(request, DeleteRequest, aliases=_NAME)
        if not body.model:
            raise InvalidName('name "" is invalid')
        await self.engine.delete(body.model)
        return Response()
