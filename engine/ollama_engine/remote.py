"""`RemoteEngine`: the verbs over HTTP, asked of any server that speaks Ollama's API, Ollama's own included.

What a server leaves out is filled with its type's zero; what it adds is ignored. Its errors come back as the errors
they were.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from typing import Self, TypeVar

import msgspec

from ollama_engine.connection import answers
from ollama_engine.errors import EngineError, InvalidDigest, InvalidRequest, ModelNotFound, NotFound, NotSupported
from ollama_engine.remote_pulls import RemotePulls
from ollama_engine.remote_verbs import own_id
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    CreateRequest,
    DetokenizeRequest,
    DetokenizeResponse,
    Device,
    EmbedRequest,
    EmbedResponse,
    GenerateChunk,
    GenerateRequest,
    KeepAlive,
    LayerView,
    MemoryPlan,
    ModelInfo,
    ModelSummary,
    PlanRequest,
    Progress,
    PullRequest,
    PushRequest,
    RequestView,
    RerankRequest,
    RerankResponse,
    RunningModel,
    TokenizeRequest,
    TokenizeResponse,
    TransferProgress,
    Update,
    UpdatesRequest,
)

__all__ = ["RemoteEngine", "answers"]

C = TypeVar("C", GenerateChunk, ChatChunk)
P = TypeVar("P", bound=Progress)


class RemoteEngine(RemotePulls):
    """An engine at the other end of a connection. Use it as an async context manager; belongs to one event loop.

    Implements `ollama_engine.engine.Engine`.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._server.aclose()

    async def version(self) -> str:
        return str((await self._server.ask("GET", "/api/version")).get("version", ""))

    async def models(self) -> list[ModelSummary]:
        return self._listed((await self._server.ask("GET", "/api/tags")).get("models"), ModelSummary)

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        return self._made(
            await self._server.ask("POST", "/api/show", {"model": name, "verbose": verbose}, model=name), ModelInfo
        )

    def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        return self._steps("/api/create", request, Progress)

    def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        return self._steps("/api/pull", request, TransferProgress)

    def push(self, request: PushRequest) -> AsyncGenerator[TransferProgress, None]:
        return self._steps("/api/push", request, TransferProgress)

    async def updates(
        self, names: Sequence[str] | None = None, *, insecure: bool = False
    ) -> AsyncGenerator[Update, None]:
        request = UpdatesRequest(None if names is None else list(names), insecure)
        try:
            answer = await self._server.ask("POST", "/api/updates", request, quick=False)
        except EngineError as error:
            # A server that looks names the model that it has not; others do not know the path.
            if error.status in (404, 405) and error.message.startswith("the server at "):
                raise NotSupported(
                    f"the server at {self.host.url} does not look for updates",
                    hint="A server of ollama-tui's does; with another one, pull a model again to bring it up to date.",
                ) from error
            raise
        for update in self._listed(answer.get("updates"), Update):
            yield update

    async def layers(self, name: str) -> list[LayerView]:
        try:
            answer = await self._server.ask("POST", "/api/layers", {"model": name})
        except EngineError as error:
            # A server that tells names the model that it has not; others do not know the path.
            if error.status in (404, 405) and f"'{name}'" not in error.message:
                raise self._not_supported("does not tell the layers of a model") from error
            if error.status == 404:
                raise ModelNotFound(name, error.message, hint=error.hint) from error
            raise
        return self._listed(answer.get("layers"), LayerView)

    async def copy(self, source: str, destination: str) -> None:
        await self._server.ask("POST", "/api/copy", {"source": source, "destination": destination}, model=source)

    async def delete(self, name: str) -> None:
        await self._server.ask("DELETE", "/api/delete", {"model": name}, model=name)

    async def has_blob(self, digest: str) -> bool:
        async with self._server.response("HEAD", f"/api/blobs/{_path_part(digest)}", quick=True) as response:
            if response.status_code == 400:
                raise InvalidDigest(f"invalid digest '{digest}'", hint="A digest is sha256: and 64 hex digits.")
            if response.status_code not in (200, 404):
                raise await self._server.error(response)
            return response.status_code == 200

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        if await self.has_blob(digest):
            return False
        async with self._server.response("POST", f"/api/blobs/{_path_part(digest)}", content=data) as response:
            if response.status_code >= 300:
                raise await self._server.error(response, digest=True)
            return response.status_code == 201

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        return self._chunks("/api/generate", request, GenerateChunk)

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        return self._chunks("/api/chat", request, ChatChunk)

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        answer = await self._server.ask("POST", "/api/embed", request, model=request.model, quick=False)
        return self._made({"model": request.model, "embeddings": [], **answer}, EmbedResponse)

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        answer = await self._server.ask("POST", "/api/rerank", request, model=request.model, quick=False)
        return self._made({"model": request.model, "results": [], **answer}, RerankResponse)

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        answer = await self._server.ask("POST", "/api/tokenize", request, model=request.model, quick=False)
        return self._made({"model": request.model, "tokens": [], **answer}, TokenizeResponse)

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        answer = await self._server.ask("POST", "/api/detokenize", request, model=request.model, quick=False)
        return self._made({"model": request.model, "content": "", **answer}, DetokenizeResponse)

    async def count_tokens(self, request: ChatRequest) -> int:
        """By the prompt that the server renders, and its tokens."""
        rendering = msgspec.structs.replace(request, debug_render_only=True, stream=False)
        answer = await self._server.ask("POST", "/api/chat", rendering, model=request.model, quick=False)
        chunk = self._made(answer, ChatChunk)
        prompt = chunk.debug_info.rendered_template if chunk.debug_info else ""
        counting = TokenizeRequest(
            request.model, prompt, add_special=True, keep_alive=request.keep_alive, options=request.options
        )
        return len((await self.tokenize(counting)).tokens)

    async def running(self) -> list[RunningModel]:
        return self._listed((await self._server.ask("GET", "/api/ps?loading=true")).get("models"), RunningModel)

    async def devices(self) -> list[Device]:
        try:
            answer = await self._server.ask("GET", "/api/devices")
        except NotFound as error:
            raise self._not_supported("does not tell its devices") from error
        return self._listed(answer.get("devices"), Device)

    async def plan(self, request: PlanRequest) -> MemoryPlan:
        try:
            return self._made(await self._server.ask("POST", "/api/plan", request), MemoryPlan)
        except EngineError as error:
            # A server that plans names the model that it has not; others do not know the path.
            if error.status in (404, 405) and f"'{request.model}'" not in error.message:
                raise self._not_supported("plans no memory") from error
            if error.status == 404:
                raise ModelNotFound(request.model, error.message, hint=error.hint) from error
            raise

    async def requests(self) -> list[RequestView]:
        try:
            answer = await self._server.ask("GET", "/api/requests")
        except EngineError as error:
            if error.status in (404, 405):
                raise self._not_supported("does not tell its requests") from error
            raise
        return self._listed(answer.get("requests"), RequestView)

    async def cancel(self, id: str) -> None:
        part = own_id(id, "request", "'ollama-tui requests' lists those that run.")
        try:
            await self._server.ask("DELETE", f"/api/requests/{part}")
        except EngineError as error:
            if error.status in (404, 405) and "there is no request" not in error.message:
                raise self._not_supported("cancels no requests") from error
            raise

    async def pin(self, name: str, *, pinned: bool = True) -> None:
        try:
            await self._server.ask("POST", "/api/pin", {"model": name, "pinned": pinned}, quick=False)
        except EngineError as error:
            # A server that pins names the model that it has not; others do not know the path.
            if error.status == 405 or (error.status == 404 and f"'{name}'" not in error.message):
                raise self._not_supported("pins no models") from error
            if error.status == 404:
                raise ModelNotFound(name, error.message, hint=error.hint) from error
            raise

    def _not_supported(self, what: str) -> NotSupported:
        return NotSupported(f"the server at {self.host.url} {what}", hint="Ollama's own server does not.")

    async def load(self, name: str, *, keep_alive: KeepAlive = None) -> None:
        request = GenerateRequest(model=name, stream=False)
        if keep_alive is not None:
            request.keep_alive = keep_alive
        try:
            await self._server.ask("POST", "/api/generate", request, model=name, quick=False)
        except InvalidRequest as error:
            if "does not support generate" not in error.message:
                raise
            embed = EmbedRequest(name, keep_alive=request.keep_alive)
            await self._server.ask("POST", "/api/embed", embed, model=name, quick=False)

    async def unload(self, name: str) -> None:
        request = GenerateRequest(model=name, keep_alive=0, stream=False)
        await self._server.ask("POST", "/api/generate", request, model=name, quick=False)

    async def _steps(self, path: str, request: msgspec.Struct, kind: type[P]) -> AsyncGenerator[P, None]:
        succeeded = False
        async with aclosing(self._server.lines(path, request)) as lines:
            async for line in lines:
                step = self._made(line, kind)
                succeeded = step.status == "success"
                yield step
        if not succeeded:
            raise self._server.broken_off()

    async def _chunks(
        self, path: str, request: GenerateRequest | ChatRequest, kind: type[C]
    ) -> AsyncGenerator[C, None]:
        done = False
        async with aclosing(self._server.lines(path, request, model=request.model)) as lines:
            # Read to the end and not only to `done`, so that the connection can serve again.
            async for line in lines:
                chunk = self._made(line, kind)
                done = done or chunk.done or chunk.debug_info is not None
                yield chunk
        if not done:
            raise self._server.broken_off()


def _path_part(digest: str) -> str:
    """A digest as it may stand in a path, so that nothing in it can lead to another endpoint."""
    if not digest or not all(part.isascii() and part.isalnum() for part in digest.replace("-", ":").split(":")):
        raise InvalidDigest(f"invalid digest '{digest}'", hint="A digest is sha256: and 64 hex digits.")
    return digest
