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

    async def blob(self, request: Request) -> Response:
        digest: str = request.path_params["digest"]
        if request.method == "HEAD":
            return Response(status_code=200 if await self.engine.has_blob(digest) else 404)
        written = await self.engine.put_blob(digest, _body(request))
        return Response(status_code=201 if written else 200)


async def _body(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives; the engine hashes and writes it, nothing here holds it."""
    try:
        async for piece in request.stream():
            if piece:
                yield piece
    except ClientDisconnect as error:
        raise RequestCanceled("the upload broke off") from error
