"""`/api/pull` and `/api/push` (spec §1.8): the steps of a transfer with a registry.

A client that hangs up closes the transfer; what a pull has fetched by then stays for the next one.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidName, InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.streaming import progress_answer
from ollama_engine.types import PullRequest, PushRequest

_NAME = {"name": "model"}


class Transfers:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def pull(self, request: Request) -> Response:
        body = await read_request(request, PullRequest, aliases=_NAME)
        if not body.model:
            raise InvalidName("invalid model name")
        return progress_answer(self.engine.pull(body), body.stream)

    async def push(self, request: Request) -> Response:
        body = await read_request(request, PushRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        return progress_answer(self.engine.push(body), body.stream)
