"""The table of OpenAI's endpoints."""

from __future__ import annotations

from ollama_engine.engine import Engine
from ollama_engine.server.openai.chat import ChatCompletions
from ollama_engine.server.openai.completions import Completions
from ollama_engine.server.openai.embeddings import Embeddings
from ollama_engine.server.openai.models import Models
from ollama_engine.server.openai.rerank import Ranking
from ollama_engine.server.openai.responses.endpoints import Responses
from ollama_engine.server.openai.responses.memory import ResponseMemory
from ollama_engine.server.openai.transcriptions import Transcriptions
from ollama_engine.server.routing import ExactRoute


def openai_routes(engine: Engine) -> list[ExactRoute]:
    models, ranking, responses = Models(engine), Ranking(engine), Responses(engine, ResponseMemory())
    return [
        ExactRoute("/v1/chat/completions", ChatCompletions(engine).chat, "POST"),
        ExactRoute("/v1/completions", Completions(engine).complete, "POST"),
        ExactRoute("/v1/embeddings", Embeddings(engine).embed, "POST"),
        ExactRoute("/v1/responses", responses.create, "POST"),
        ExactRoute("/v1/responses/{id}", responses.get, "GET"),
        ExactRoute("/v1/responses/{id}", responses.delete, "DELETE"),
        ExactRoute("/v1/rerank", ranking.rerank, "POST"),
        ExactRoute("/v1/reranking", ranking.rerank, "POST"),
        ExactRoute("/v1/audio/transcriptions", Transcriptions(engine).transcribe, "POST"),
        ExactRoute("/v1/models", models.list, "GET"),
        ExactRoute("/v1/models/{model:path}", models.one, "GET"),
    ]
