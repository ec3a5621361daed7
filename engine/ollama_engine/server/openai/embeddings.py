"""`/v1/embeddings` (spec §2.4)."""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.openai.objects import EmbeddingList, EmbeddingObject, PromptUsage
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import Texts
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import JSON, EmbedRequest, KeepAlive


class EmbeddingsRequest(Struct):
    model: str
    input: Texts
    dimensions: int | None = None
    encoding_format: str = ""
    """`float` or `base64`."""
    truncate: bool | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class Embeddings:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def embed(self, request: Request) -> Response:
        body = await read_request(request, EmbeddingsRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        form = body.encoding_format.lower() or "float"
        if form not in ("float", "base64"):
            raise InvalidRequest(
                f"Invalid value for 'encoding_format' = {body.encoding_format}. Supported values: ['float', 'base64']."
            )
        asked = EmbedRequest(
            local_name(body.model),
            _inputs(body.input),
            truncate=body.truncate,
            dimensions=body.dimensions or 0,
            keep_alive=body.keep_alive,
            options=body.options,
        )
        answer = await while_connected(self.engine.embed(asked), request.receive)
        tokens = answer.prompt_eval_count
        data = [
            EmbeddingObject("embedding", _base64(vector) if form == "base64" else vector, index)
            for index, vector in enumerate(answer.embeddings)
        ]
        return json_response(EmbeddingList("list", data, body.model, PromptUsage(tokens, tokens)))


def _inputs(value: Any) -> list[str]:
    inputs = [value] if isinstance(value, str) else value
    if not inputs or not isinstance(inputs, list):
        raise InvalidRequest("invalid input")
    if not all(isinstance(each, str) for each in inputs):
        raise InvalidRequest(
            "invalid input",
            hint="It is a string or a list of strings: the tokens of another tokenizer mean nothing to this model "
            "(in LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False).",
        )
    return inputs


def _base64(vector: list[float]) -> str:
    """Little-endian float32."""
    values = array("f", vector)
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode()
