"""`/api/blobs/{digest}`: is a blob there, and storing one (spec §1.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import RequestCanceled


class Blobs:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def exists(self, request: Request) -> Response:
        return Response(status_code=200 if await self.engine.has_blob(request.path_params["digest"]) else 404)

    async def store(self, request: Request) -> Response:
        written = await self.engine.put_blob(request.path_params["digest"], _body(request))
        return Response(status_code=201 if written else 200)


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives; the engine hashes and writes it, nothing here holds it."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect as error:
        raise RequestCanceled("the upload broke off") from error
