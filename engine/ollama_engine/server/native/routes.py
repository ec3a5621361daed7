"""The table of Ollama's endpoints, `/` and `/api/...`, and of ours beside them."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ollama_engine.engine import Engine
from ollama_engine.server.encode import json_response
from ollama_engine.server.native import cloud
from ollama_engine.server.native.blobs import Blobs
from ollama_engine.server.native.embeddings import EmbeddingRequest, EmbeddingResponse, Embeddings
from ollama_engine.server.native.health import Health, HealthStatus
from ollama_engine.server.native.inference import Inference
from ollama_engine.server.native.models import (
    CopyRequest,
    CreateModelRequest,
    DeleteRequest,
    Devices,
    Layers,
    LayersRequest,
    ModelList,
    Models,
    RunningModels,
    ShowRequest,
)
from ollama_engine.server.native.pulls import CancelRequest, LimitRequest, MoveRequest, PullQueue, Pulls
from ollama_engine.server.native.requests import PinRequest, RequestList, Requests
from ollama_engine.server.native.tokens import Tokens
from ollama_engine.server.native.transfers import Transfers, Updates
from ollama_engine.server.operations import BYTES, TEXT, Query, lines
from ollama_engine.server.routing import ExactRoute, Table
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    DetokenizeRequest,
    DetokenizeResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateChunk,
    GenerateRequest,
    MemoryPlan,
    ModelInfo,
    PlanRequest,
    Progress,
    PullRequest,
    PullView,
    PushRequest,
    RerankRequest,
    RerankResponse,
    TokenizeRequest,
    TokenizeResponse,
    TransferLimits,
    TransferProgress,
    UpdatesRequest,
)

OLLAMA, OURS = Table("Ollama"), Table("ollama-tui")

_OLD_NAME = "`name` is taken for `model`, too."
_LAST_STEP = f"{_OLD_NAME} Streamed unless `stream` is false, which gives the last step alone."
_NO_CLOUD = "Always an error here: this server has no cloud."
_LOADING = Query("loading", "`true`: also those that load for the first time (ours).", ("true", "false"))


class Version(Struct):
    version: str


class WebRequest(Struct):
    query: str = ""
    url: str = ""
    max_results: int = 0


def native_routes(engine: Engine) -> list[ExactRoute]:
    return [*_inference(engine), *_models(engine), *_transfers(engine), *_cloud(), *_ours(engine)]


def _inference(engine: Engine) -> list[ExactRoute]:
    inference, embeddings = Inference(engine), Embeddings(engine)
    return [
        OLLAMA(
            "POST", "/api/generate", inference.generate, "Go on from a prompt",
            details="Streamed unless `stream` is false. Without a `prompt` the model is loaded, or with a `keep_alive` "
            "of 0 unloaded: one object, whose `done_reason` is `load` or `unload`.",
            takes=GenerateRequest, gives=GenerateChunk, streams=lines(GenerateChunk),
        ),
        OLLAMA(
            "POST", "/api/chat", inference.chat, "Answer a conversation",
            details="Streamed unless `stream` is false. Without `messages` as /api/generate without a prompt.",
            takes=ChatRequest, gives=ChatChunk, streams=lines(ChatChunk),
        ),
        OLLAMA(
            "POST", "/api/embed", embeddings.embed, "Make vectors of texts", takes=EmbedRequest, gives=EmbedResponse
        ),
        OLLAMA(
            "POST", "/api/embeddings", embeddings.legacy, "Make a vector of a text: the older form",
            takes=EmbeddingRequest, gives=EmbeddingResponse, deprecated=True,
        ),
    ]  # fmt: skip


def _models(engine: Engine) -> list[ExactRoute]:
    models, blobs = Models(engine), Blobs(engine)

    async def root(request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(request: Request) -> Response:
        return json_response(Version(await engine.version()))

    return [
        OLLAMA("GET HEAD", "/", root, "Say that a server is there", gives=TEXT),
        OLLAMA("GET HEAD", "/api/version", version, "The server's version", gives=Version),
        OLLAMA("GET HEAD", "/api/tags", models.tags, "List the models in the store", gives=ModelList),
        OLLAMA("GET", "/api/ps", models.ps, "List the models in memory", gives=RunningModels, query=(_LOADING,)),
        OLLAMA(
            "POST", "/api/show", models.show, "Tell everything of a model",
            details=_OLD_NAME, takes=ShowRequest, gives=ModelInfo,
        ),
        OLLAMA(
            "POST", "/api/create", models.create, "Make a model of another, or of blobs",
            details=_LAST_STEP, takes=CreateModelRequest, gives=Progress, streams=lines(Progress),
        ),
        OLLAMA("POST", "/api/copy", models.copy, "Give a model a second name", takes=CopyRequest),
        OLLAMA(
            "DELETE", "/api/delete", models.delete, "Remove a model",
            details=f"{_OLD_NAME} Blobs that no other model uses go, too.", takes=DeleteRequest,
        ),
        OLLAMA(
            "HEAD", "/api/blobs/{digest}", blobs.exists, "Ask whether a blob is there",
            details="404 where it is not. A digest is `sha256:` and 64 hexadecimal digits.",
        ),
        OLLAMA(
            "POST", "/api/blobs/{digest}", blobs.store, "Store a blob",
            details="201: stored; 200: it was there already.", takes=BYTES, statuses=(200, 201),
        ),
    ]  # fmt: skip


def _transfers(engine: Engine) -> list[ExactRoute]:
    transfers, pulls = Transfers(engine), Pulls(engine)
    return [
        OLLAMA(
            "POST", "/api/pull", transfers.pull, "Bring a model from its registry",
            details=_LAST_STEP, takes=PullRequest, gives=TransferProgress, streams=lines(TransferProgress),
        ),
        OLLAMA(
            "POST", "/api/push", transfers.push, "Send a model to the registry of its name",
            details=_LAST_STEP, takes=PushRequest, gives=TransferProgress, streams=lines(TransferProgress),
        ),
        OURS(
            "POST", "/api/updates", transfers.updates, "Ask registries for newer models",
            details="Nothing is downloaded.", takes=UpdatesRequest, gives=Updates,
        ),
        OURS("GET", "/api/pulls", pulls.list, "The queue of pulls, in the order in which they run", gives=PullQueue),
        OURS("POST", "/api/pulls", pulls.enqueue, "Queue a pull", takes=PullRequest, gives=PullView),
        OURS(
            "GET", "/api/pulls/limits", pulls.limits, "How fast pulls may be, and how much disk they have",
            gives=TransferLimits,
        ),
        OURS(
            "POST", "/api/pulls/limits", pulls.limit, "Limit how fast pulls may be",
            details="Holds at once, until the server ends.", takes=LimitRequest, gives=TransferLimits,
        ),
        OURS("DELETE", "/api/pulls/{id}", pulls.cancel, "Take a pull off the queue", takes=CancelRequest),
        OURS("POST", "/api/pulls/{id}/pause", pulls.pause, "Stop a pull", gives=PullView),
        OURS("POST", "/api/pulls/{id}/resume", pulls.resume, "Go on with a pull, or try it again", gives=PullView),
        OURS("POST", "/api/pulls/{id}/move", pulls.move, "Put a pull at another place", takes=MoveRequest),
    ]  # fmt: skip


def _cloud() -> list[ExactRoute]:
    off = _NO_CLOUD
    return [
        OLLAMA("GET", "/api/status", cloud.status, "Whether there is a cloud", gives=cloud.Status),
        OLLAMA("POST", "/api/me", cloud.me, "Who is signed in at ollama.com", details=off),
        OLLAMA("POST", "/api/signout", cloud.sign_out, "Sign out of ollama.com", details=off),
        OLLAMA(
            "DELETE", "/api/user/keys/{key}", cloud.sign_out, "Sign out of ollama.com: the older form",
            details=off, deprecated=True,
        ),
        OLLAMA(
            "POST", "/api/experimental/web_search", cloud.web_search, "Search the web through ollama.com",
            details=off, takes=WebRequest,
        ),
        OLLAMA(
            "POST", "/api/experimental/web_fetch", cloud.web_fetch, "Fetch a page through ollama.com",
            details=off, takes=WebRequest,
        ),
        OLLAMA(
            "GET", "/api/experimental/model-recommendations", cloud.recommendations,
            "Models worth trying on this machine", gives=cloud.Recommendations,
        ),
    ]  # fmt: skip


def _ours(engine: Engine) -> list[ExactRoute]:
    models, embeddings, tokens, health = Models(engine), Embeddings(engine), Tokens(engine), Health(engine)
    requests = Requests(engine)
    return [
        OURS("GET", "/api/requests", requests.list, "Requests that are worked on, or wait", gives=RequestList),
        OURS(
            "DELETE", "/api/requests/{id}", requests.cancel, "End a request",
            details="Answered when it takes nothing any more.",
        ),
        OURS(
            "POST", "/api/pin", requests.pin, "Keep a model in memory, or let it go again",
            details=_OLD_NAME, takes=PinRequest,
        ),
        OURS(
            "POST", "/api/rerank", embeddings.rerank, "Put documents in the order of their relevance",
            takes=RerankRequest, gives=RerankResponse,
        ),
        OURS(
            "POST", "/api/tokenize", tokens.tokenize, "Cut a text into tokens",
            details="`text` and `prompt` are taken for `content`, too.", takes=TokenizeRequest, gives=TokenizeResponse,
        ),
        OURS(
            "POST", "/api/detokenize", tokens.detokenize, "Make a text of tokens",
            takes=DetokenizeRequest, gives=DetokenizeResponse,
        ),
        OURS("GET", "/api/devices", models.devices, "What the machine computes on", gives=Devices),
        OURS(
            "POST", "/api/plan", models.plan, "Where a model would lie in memory, before it is loaded",
            details=_OLD_NAME, takes=PlanRequest, gives=MemoryPlan,
        ),
        OURS(
            "POST", "/api/layers", models.layers, "The blobs of a model, and the other models that use them",
            details=_OLD_NAME, takes=LayersRequest, gives=Layers,
        ),
        OURS("GET HEAD", "/healthz", health.alive, "Whether the process lives", gives=HealthStatus),
        OURS(
            "GET HEAD", "/readyz", health.ready, "Whether requests may be sent",
            details="503 once the server drains.", gives=HealthStatus,
        ),
    ]  # fmt: skip
