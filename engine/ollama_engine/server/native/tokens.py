"""`/api/tokenize` and `/api/detokenize`, which are ours: a model's vocabulary (shapes as in Ollama's open proposals and
llama.cpp's server)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.references import local_name
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import DetokenizeRequest, TokenizeRequest


class Tokens:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def tokenize(self, request: Request) -> Response:
        body = await read_request(request, TokenizeRequest, aliases={"text": "content", "prompt": "content"})
        if not body.model:
            raise InvalidRequest("model is required")
        body.model = local_name(body.model)
        return json_response(await while_connected(self.engine.tokenize(body), request.receive))

    async def detokenize(self, request: Request) -> Response:
        body = await read_request(request, DetokenizeRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        body.model = local_name(body.model)
        return json_response(await while_connected(self.engine.detokenize(body), request.receive))
