"""`/api/generate` and `/api/chat` (spec §1.3, §1.4)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, ModelNotFound
from ollama_engine.server.decode import read_request
from ollama_engine.server.merge import is_whole, merge_chat, merge_generate
from ollama_engine.server.references import local_name
from ollama_engine.server.security.permissions import check_unload
from ollama_engine.server.streaming import StreamedAnswer
from ollama_engine.types import ChatRequest, GenerateRequest


class Inference:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def generate(self, request: Request) -> Response:
        body = await read_request(request, GenerateRequest)
        _check_top_logprobs(body.top_logprobs)
        if not body.model:
            raise ModelNotFound("")
        check_unload(request.scope, body.keep_alive, idle=not body.prompt)
        body.model = local_name(body.model)
        return StreamedAnswer(
            self.engine.generate(body), stream=body.stream is not False, merge=merge_generate, is_whole=is_whole
        )

    async def chat(self, request: Request) -> Response:
        body = await read_request(request, ChatRequest)
        _check_top_logprobs(body.top_logprobs)
        if not body.model:
            raise InvalidRequest("model is required")
        check_unload(request.scope, body.keep_alive, idle=not body.messages)
        body.model = local_name(body.model)
        return StreamedAnswer(
            self.engine.chat(body), stream=body.stream is not False, merge=merge_chat, is_whole=is_whole
        )


def _check_top_logprobs(count: int) -> None:
    if not 0 <= count <= 20:
        raise InvalidRequest("top_logprobs must be between 0 and 20")
