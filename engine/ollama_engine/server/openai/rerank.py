"""`/v1/rerank`: documents by their relevance, in the shape of Cohere, Jina and llama.cpp's server (not Ollama's).

Scores are as the model's head gives them, as at /api/rerank and llama.cpp's server: comparable within one answer.
"""

from __future__ import annotations

import secrets
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.openai.objects import PromptUsage, RankedText, RankingList, RankingResult
from ollama_engine.server.references import local_name
from ollama_engine.server.shapes import Documents
from ollama_engine.server.streaming import while_connected
from ollama_engine.types import JSON, KeepAlive, RankedDocument, RerankRequest


class RankingRequest(Struct):
    model: str
    query: str
    documents: Documents
    """Each is text, or an object whose `text` it is."""
    top_n: int | None = None
    return_documents: bool = False
    truncate: bool | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class Ranking:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def rerank(self, request: Request) -> Response:
        body = await read_request(request, RankingRequest)
        if not body.model:
            raise InvalidRequest("model is required")
        if not body.query:
            raise InvalidRequest("query is required")
        if not body.documents or not isinstance(body.documents, list):
            raise InvalidRequest("documents is required", hint="It is a list of strings.")
        if body.top_n is not None and body.top_n < 1:
            raise InvalidRequest("top_n must be at least 1")
        texts = [_text(document) for document in body.documents]
        asked = RerankRequest(
            local_name(body.model),
            body.query,
            texts,
            top_n=body.top_n or 0,
            truncate=body.truncate,
            keep_alive=body.keep_alive,
            options=body.options,
        )
        answer = await while_connected(self.engine.rerank(asked), request.receive)
        tokens = answer.prompt_eval_count
        return json_response(
            RankingList(
                f"rerank-{secrets.token_hex(12)}",
                "list",
                body.model,
                [_result(result, texts if body.return_documents else None) for result in answer.results],
                PromptUsage(tokens, tokens),
            )
        )


def _text(document: Any) -> str:
    match document:
        case str(text) | {"text": str(text)}:
            return text
        case _:
            raise InvalidRequest("a document is neither text nor an object with a text")


def _result(result: RankedDocument, texts: list[str] | None) -> RankingResult:
    document = RankedText(texts[result.index]) if texts else None
    return RankingResult(index=result.index, relevance_score=result.relevance_score, document=document)
