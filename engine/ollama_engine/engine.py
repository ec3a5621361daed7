"""`Engine`: the verbs. The server, the command line and the terminal know this Protocol and nothing behind it.

`ollama_engine.local.LocalEngine` does the work here; `ollama_engine.remote.RemoteEngine` asks any server that speaks
Ollama's API. Both pass the same contract tests (tests/engine/contract).

Streams are async generators: closing one cancels what it does. Every failure is an `errors.EngineError`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Protocol, Self

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
    PullView,
    PushRequest,
    RequestView,
    RerankRequest,
    RerankResponse,
    RunningModel,
    TokenizeRequest,
    TokenizeResponse,
    TransferLimits,
    TransferProgress,
    Update,
)


class Engine(Protocol):
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    async def aclose(self) -> None:
        """End every runner (or connection) and wait until they are gone. Safe to call twice."""

    async def version(self) -> str:
        """The version of the engine that does the work; ServerUnreachable where none answers."""
        ...

    async def models(self) -> list[ModelSummary]:
        """All models in the store, newest first."""
        ...

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        """Everything known of one model; ModelNotFound, InvalidName."""
        ...

    def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        """Make a model out of another one, pulled first where it is not here, or of blobs (has_blob, put_blob)."""
        ...

    def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        """Bring a model from its registry; the last step is `success`. Closed early, the next pull goes on from there.

        InvalidName, NotFound where the registry has no such model, ServerUnreachable, StoreError and others.
        """
        ...

    def pulls(self) -> AsyncGenerator[list[PullView], None]:
        """The queue of pulls in its order, now and whenever it changes. What an earlier program left goes on by then.

        NotSupported where the server at the other end has no queue (Ollama's own); so do the verbs below.
        """
        ...

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        """Queue a pull; one of the same model that had stopped goes on. InvalidName; Busy: another program has it."""
        ...

    async def pull_pause(self, id: str) -> PullView:
        """Stop a pull; it waits to be resumed, also by the next program. NotFound, Busy."""
        ...

    async def pull_resume(self, id: str) -> PullView:
        """Let a paused pull go on, or try a failed one again. NotFound, Busy."""
        ...

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        """Take a pull off the queue, with what it has fetched only if asked. NotFound, Busy."""

    async def pull_move(self, id: str, position: int) -> None:
        """Put a pull at that place of the queue, 0 the first. NotFound, Busy."""

    async def transfer_limits(self) -> TransferLimits:
        """How fast pulls may be, and how much disk they have; NotSupported where the server does not tell."""
        ...

    async def limit_transfers(self, bandwidth: int) -> TransferLimits:
        """Let all pulls together take that many bytes a second, 0 for no limit; what runs keeps to it at once.

        It holds until the engine ends; OLLAMA_BANDWIDTH is for good. InvalidRequest, NotSupported."""
        ...

    def push(self, request: PushRequest) -> AsyncGenerator[TransferProgress, None]:
        """Send a model to the registry of its name; the last step is `success`. InvalidName, ModelNotFound, as pull."""
        ...

    def updates(self, names: Sequence[str] | None = None, *, insecure: bool = False) -> AsyncGenerator[Update, None]:
        """Whether registries have other manifests of the models, all of them or `names`; nothing is downloaded.

        ModelNotFound; NotSupported where the server at the other end does not look (Ollama's own).
        """
        ...

    async def layers(self, name: str) -> list[LayerView]:
        """The blobs of a model, and the other models that use each: what a delete would free.

        ModelNotFound; NotSupported where the server at the other end does not tell (Ollama's own).
        """
        ...

    async def copy(self, source: str, destination: str) -> None: ...

    async def delete(self, name: str) -> None:
        """Remove a name and every blob that no other name uses."""

    async def has_blob(self, digest: str) -> bool: ...

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        """Store bytes under their digest. True when written, False when it was there already; DigestMismatch."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]: ...

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """A vector for each input; InvalidRequest where a model cannot, or an input may not be cut and must be."""
        ...

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Documents by their relevance to a query; InvalidRequest where the model ranks nothing."""
        ...

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        """The tokens of a text; ModelNotFound."""
        ...

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        """The text of tokens; InvalidRequest where one is not in the vocabulary."""
        ...

    async def count_tokens(self, request: ChatRequest) -> int:
        """How many tokens the prompt of a chat has, before anything is cut out of it. Generates nothing."""
        ...

    async def running(self) -> list[RunningModel]:
        """Models in memory, loading ones included, the one that stays longest first."""
        ...

    async def devices(self) -> list[Device]:
        """What the engine's machine computes on, as it is now; NotSupported where the server does not tell."""
        ...

    async def requests(self) -> list[RequestView]:
        """What the engine works on and who waits, oldest first; NotSupported where the server does not tell."""
        ...

    async def cancel(self, id: str) -> None:
        """End a request, wherever it is: its answer ends with `done_reason` `canceled` where it has begun, else with
        RequestCanceled. It takes nothing any more when this returns. NotFound, NotSupported."""

    async def plan(self, request: PlanRequest) -> MemoryPlan:
        """Where a model would lie in memory if it were loaded now, said from its header: nothing is loaded.

        ModelNotFound, InvalidRequest; NotSupported where the server at the other end does not tell (Ollama's own).
        """
        ...

    async def load(self, name: str, *, keep_alive: KeepAlive = None) -> None:
        """Bring a model into memory now."""

    async def pin(self, name: str, *, pinned: bool = True) -> None:
        """Bring a model into memory and keep it there, whatever its keep-alive says and whoever needs the room, until
        it is unloaded or no longer `pinned`. ModelNotFound; NotSupported where the server pins nothing."""

    async def unload(self, name: str) -> None:
        """Let a model go as soon as its requests have ended, pinned or not; ModelNotFound."""
