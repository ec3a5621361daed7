"""`/api/embed`, `/api/embeddings` (its older form), and `/api/rerank`, which is ours (spec §1.5, §1.6)."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, InvalidName, InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.references import local_name
from ollama_engine.server.security.permissions import check_unload
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import JSON, EmbedRequest, EmbedResponse, KeepAlive, RerankRequest


class EmbeddingRequest(Struct):
    model: str
    prompt: str = ""
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class EmbeddingResponse(Struct):
    embedding: list[float]


class Embeddings:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def embed(self, request: Request) -> Response:
        body = await read_request(request, EmbedRequest)
        check_unload(request.scope, body.keep_alive, idle=not body.input)
        body.model = local_name(body.model)
        return json_response(await while_connected(self.engine.embed(body), request.receive))

    async def legacy(self, request: Request) -> Response:
        """One text, one vector, and normalised only as the model itself has it. A prompt that is too long is cut."""
        body = await read_request(request, EmbeddingRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        check_unload(request.scope, body.keep_alive, idle=not body.prompt)
        asked = EmbedRequest(
            local_name(body.model), body.prompt, keep_alive=body.keep_alive, options=body.options, normalize="model"
        )
        answer = await while_connected(self._embed_legacy(asked), request.receive)
        return json_response(EmbeddingResponse(answer.embeddings[0] if answer.embeddings else []))

    async def _embed_legacy(self, request: EmbedRequest) -> EmbedResponse:
        try:
            return await self.engine.embed(request)
        except InvalidName:
            raise
        except InvalidRequest as error:  # this endpoint knows no 400 for what the model cannot do
            raise EngineError(error.message, hint=error.hint) from error

    async def rerank(self, request: Request) -> Response:
        body = await read_request(request, RerankRequest)
        body.model = local_name(body.model)
        return json_response(await while_connected(self.engine.rerank(body), request.receive))
