"""`/api/pull`, `/api/push` (spec §1.8) and `/api/updates`: transfers with a registry, and what it has of new models.

A client that hangs up closes the transfer; what a pull has fetched by then stays for the next one.
"""

from __future__ import annotations

from contextlib import aclosing

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidName, InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.streaming import progress_answer, while_connected
from ollama_engine.types import PullRequest, PushRequest, Update, UpdatesRequest

_NAME = {"name": "model"}


class Updates(Struct):
    updates: list[Update]


class Transfers:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def pull(self, request: Request) -> Response:
        body = await read_request(request, PullRequest, aliases=_NAME)
        if not body.model:
            raise InvalidName("invalid model name")
        return progress_answer(self.engine.pull(body), body.stream)

    async def updates(self, request: Request) -> Response:
        """Ours; Ollama has none: `{"updates": [...]}`, one for each model, nothing downloaded."""
        body = await read_request(request, UpdatesRequest)
        return await while_connected(self._updates(body), request.receive)

    async def _updates(self, body: UpdatesRequest) -> Response:
        async with aclosing(self.engine.updates(body.models, insecure=body.insecure)) as answers:
            return json_response(Updates([answer async for answer in answers]))

    async def push(self, request: Request) -> Response:
        body = await read_request(request, PushRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        return progress_answer(self.engine.push(body), body.stream)
