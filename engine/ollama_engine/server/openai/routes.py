"""The table of OpenAI's endpoints."""

from __future__ import annotations

from ollama_engine.engine import Engine
from ollama_engine.server.openai.chat import ChatCompletionRequest, ChatCompletions
from ollama_engine.server.openai.completions import CompletionRequest, Completions
from ollama_engine.server.openai.embeddings import Embeddings, EmbeddingsRequest
from ollama_engine.server.openai.models import Models
from ollama_engine.server.openai.objects import (
    ChatCompletion,
    ChatCompletionChunk,
    EmbeddingList,
    ModelObject,
    ModelObjectList,
    RankingList,
    ResponseDeleted,
    ResponseEvent,
    ResponseObject,
    TextCompletion,
    Transcript,
    TranscriptEvent,
)
from ollama_engine.server.openai.rerank import Ranking, RankingRequest
from ollama_engine.server.openai.responses.endpoints import Responses, ResponsesRequest
from ollama_engine.server.openai.responses.memory import ResponseMemory
from ollama_engine.server.openai.transcriptions import TranscriptionForm, Transcriptions
from ollama_engine.server.operations import TEXT, Body, events
from ollama_engine.server.routing import ExactRoute, Table

OPENAI = Table("OpenAI")

_DONE = "A stream ends with `[DONE]`; an error in the middle of it is an event, too."


def openai_routes(engine: Engine) -> list[ExactRoute]:
    models, ranking, responses = Models(engine), Ranking(engine), Responses(engine, ResponseMemory())
    return [
        OPENAI(
            "POST", "/v1/chat/completions", ChatCompletions(engine).chat, "Answer a conversation",
            details=_DONE, takes=ChatCompletionRequest, gives=ChatCompletion, streams=events(ChatCompletionChunk),
        ),
        OPENAI(
            "POST", "/v1/completions", Completions(engine).complete, "Go on from a prompt",
            details=f"The chat template stands around it, unless `raw` is true. {_DONE}",
            takes=CompletionRequest, gives=TextCompletion, streams=events(TextCompletion),
        ),
        OPENAI(
            "POST", "/v1/responses", responses.create, "Answer, and remember the conversation",
            details="Go on from an answer with its id as `previous_response_id`.",
            takes=ResponsesRequest, gives=ResponseObject, streams=events(ResponseEvent),
        ),
        OPENAI("GET", "/v1/responses/{id}", responses.get, "A response that is remembered", gives=ResponseObject),
        OPENAI("DELETE", "/v1/responses/{id}", responses.delete, "Forget a response", gives=ResponseDeleted),
        OPENAI(
            "POST", "/v1/embeddings", Embeddings(engine).embed, "Make vectors of texts",
            takes=EmbeddingsRequest, gives=EmbeddingList,
        ),
        OPENAI(
            "POST", "/v1/audio/transcriptions", Transcriptions(engine).transcribe, "Write down speech",
            details="Plain text where `response_format` is `text`.",
            takes=Body(TranscriptionForm, "multipart/form-data"), gives=(Transcript, TEXT),
            streams=events(TranscriptEvent),
        ),
        OPENAI("GET", "/v1/models", models.list, "List the models in the store", gives=ModelObjectList),
        OPENAI("GET", "/v1/models/{model:name}", models.one, "A model in the store", gives=ModelObject),
        OPENAI(
            "POST", "/v1/rerank", ranking.rerank, "Put documents in the order of their relevance",
            details="Not OpenAI's: in the shape that other servers have.", takes=RankingRequest, gives=RankingList,
        ),
        OPENAI(
            "POST", "/v1/reranking", ranking.rerank, "Put documents in the order of their relevance",
            details="The same under another name.", takes=RankingRequest, gives=RankingList,
        ),
    ]  # fmt: skip
