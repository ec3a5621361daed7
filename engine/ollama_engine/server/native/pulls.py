"""`/api/pulls`: the queue of pulls. Ours; Ollama has none.

GET    /api/pulls               {"pulls": [...]}, in the order in which they run
POST   /api/pulls               {"model", "insecure"}: queue one; the pull
POST   /api/pulls/ID/pause      and resume (also: try again); the pull
POST   /api/pulls/ID/move       {"position"}: 0 is the first
GET    /api/pulls/limits        {"bandwidth", "free"}: bytes a second, and of disk
POST   /api/pulls/limits        {"bandwidth"}: take this limit now
DELETE /api/pulls/ID            {"remove_partials"}: take it off
"""

from __future__ import annotations

from contextlib import aclosing

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidName, StoreError
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.errors import discreet
from ollama_engine.types import PullRequest, PullView


class MoveRequest(Struct):
    position: int = 0
    """0 is the first."""


class CancelRequest(Struct):
    remove_partials: bool = False
    """Also what it has fetched so far."""


class LimitRequest(Struct):
    bandwidth: int = 0
    """Bytes a second; 0: no limit."""


class PullQueue(Struct):
    pulls: list[PullView]


class Pulls:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def list(self, request: Request) -> Response:
        async with aclosing(self.engine.pulls()) as states:
            async for views in states:
                return json_response(PullQueue([_shown(view, request) for view in views]))
        return json_response(PullQueue([]))

    async def enqueue(self, request: Request) -> Response:
        body = await read_request(request, PullRequest, aliases={"name": "model"})
        if not body.model:
            raise InvalidName("invalid model name")
        return json_response(_shown(await self.engine.pull_enqueue(body), request))

    async def pause(self, request: Request) -> Response:
        return json_response(_shown(await self.engine.pull_pause(request.path_params["id"]), request))

    async def resume(self, request: Request) -> Response:
        return json_response(_shown(await self.engine.pull_resume(request.path_params["id"]), request))

    async def move(self, request: Request) -> Response:
        body = await read_request(request, MoveRequest)
        await self.engine.pull_move(request.path_params["id"], body.position)
        return Response()

    async def limits(self, request: Request) -> Response:
        return json_response(await self.engine.transfer_limits())

    async def limit(self, request: Request) -> Response:
        body = await read_request(request, LimitRequest)
        return json_response(await self.engine.limit_transfers(body.bandwidth))

    async def cancel(self, request: Request) -> Response:
        body = await read_request(request, CancelRequest)
        await self.engine.pull_cancel(request.path_params["id"], remove_partials=body.remove_partials)
        return Response()


def _shown(view: PullView, request: Request) -> PullView:
    """`view`, with what its error must not tell left out."""
    error = discreet(StoreError(view.error, hint=view.hint), request.scope)
    return msgspec.structs.replace(view, error=error.message, hint=error.hint)
