"""An Engine in memory that says what a test tells it to, when the test lets it.

For the shape of answers and errors on the wire, where a real model would only be slower and less exact.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any, Self

from ollama_engine.errors import DigestMismatch, EngineError, InvalidDigest, ModelNotFound, NotFound
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
    Logprob,
    MemoryPlan,
    Message,
    ModelDetails,
    ModelInfo,
    ModelSummary,
    PlanRequest,
    Progress,
    PullRequest,
    PushRequest,
    RankedDocument,
    RequestView,
    RerankRequest,
    RerankResponse,
    RunningModel,
    TokenizeRequest,
    TokenizeResponse,
    TransferProgress,
    Update,
)

CREATED_AT = "2026-01-02T03:04:05.000000006Z"
MODIFIED_AT = "2026-01-02T03:04:05.000000006+01:00"
DETAILS = ModelDetails(
    format="gguf", family="llama", families=["llama"], parameter_size="4M", quantization_level="Q8_0"
)

Piece = str | ChatChunk | GenerateChunk | Exception
Request = (
    GenerateRequest
    | ChatRequest
    | EmbedRequest
    | RerankRequest
    | TokenizeRequest
    | DetokenizeRequest
    | CreateRequest
    | PullRequest
    | PushRequest
)


class ScriptedEngine:
    """Says `pieces`, one after another.

    Attributes:
        pieces: text of each chunk, or the chunk itself; an EngineError or another exception among them is raised at
            its place.
        last: fields of the last chunk that are to differ from what it says of itself.
        step: when set to an Event, each piece after the first waits for it and clears it.
        closed_early: set when a caller closed (or cancelled) a stream before its end.
        counted: every request whose tokens were counted.
        asked: every request that reached a stream, as it arrived.
        planned: every request for a plan; `plan_answer` is what `plan` says.
        running_requests: what `requests` tells; `cancel` takes from it.
    """

    def __init__(self, pieces: Sequence[Piece] = ("Hello", " world")) -> None:
        self.pieces: Sequence[Piece] = pieces
        self.last: dict[str, object] = {}
        self.step: asyncio.Event | None = None
        self.waiting = asyncio.Event()
        self.closed_early = asyncio.Event()
        self.closed = False
        self.asked: list[Request] = []
        self.counted: list[ChatRequest] = []
        self.names = ["bard:latest"]
        self.blobs: dict[str, bytes] = {}
        self.loaded: list[RunningModel] = []
        self.running_requests: list[RequestView] = []
        self.pinned: set[str] = set()
        self.planned: list[PlanRequest] = []
        self.plan_answer: MemoryPlan | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.closed = True

    async def version(self) -> str:
        return "1.2.3"

    async def models(self) -> list[ModelSummary]:
        return [
            ModelSummary(
                name=name,
                model=name,
                modified_at=MODIFIED_AT,
                size=12,
                digest="ab" * 32,
                details=DETAILS,
                capabilities=["completion"],
            )
            for name in self.names
        ]

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        self._known(name)
        return ModelInfo(
            modelfile="FROM <x> & y",
            details=DETAILS,
            model_info={"general.architecture": "llama", "verbose": verbose},
            capabilities=["completion"],
            modified_at=MODIFIED_AT,
        )

    async def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        self.asked.append(request)
        async for piece in self._said():
            yield Progress(status=str(piece))
        self.names.insert(0, request.model)
        yield Progress(status="success")

    def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        return self._transfer(request)

    def push(self, request: PushRequest) -> AsyncGenerator[TransferProgress, None]:
        return self._transfer(request)

    async def updates(
        self, names: Sequence[str] | None = None, *, insecure: bool = False
    ) -> AsyncGenerator[Update, None]:
        for name in self.names if names is None else names:
            yield Update(name, "current", "0" * 64, "0" * 64)

    async def _transfer(self, request: PullRequest | PushRequest) -> AsyncGenerator[TransferProgress, None]:
        self.asked.append(request)
        async for piece in self._said():
            yield TransferProgress(status=str(piece))
        yield TransferProgress(status="success")

    async def copy(self, source: str, destination: str) -> None:
        self._known(source)
        self.names.insert(0, destination)

    async def delete(self, name: str) -> None:
        self.names.remove(self._known(name))

    async def has_blob(self, digest: str) -> bool:
        return _checked(digest) in self.blobs

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        if _checked(digest) in self.blobs:
            return False
        try:
            body = b"".join([piece async for piece in data])
        except EngineError:
            self.closed_early.set()
            raise
        actual = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if actual != digest:
            raise DigestMismatch(f'digest mismatch, expected "{digest}", got "{actual}"')
        self.blobs[digest] = body
        return True

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        self.asked.append(request)
        self._known(request.model)
        if not request.prompt:
            reason = "unload" if request.keep_alive == 0 else "load"
            yield GenerateChunk(model=request.model, created_at=CREATED_AT, response="", done=True, done_reason=reason)
            return
        async for piece in self._said():
            if isinstance(piece, GenerateChunk):
                yield piece
            else:
                yield GenerateChunk(model=request.model, created_at=CREATED_AT, response=str(piece), done=False)
        yield GenerateChunk(
            model=request.model,
            created_at=CREATED_AT,
            response="",
            done=True,
            context=[1, 2, 3],
            **_METRICS | self.last,  # pyright: ignore[reportArgumentType] - fields by name
        )

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        self.asked.append(request)
        self._known(request.model)
        if not request.messages:
            reason = "unload" if request.keep_alive == 0 else "load"
            yield _turn(request, "", done=True, done_reason=reason)
            return
        async for piece in self._said():
            yield piece if isinstance(piece, ChatChunk) else _turn(request, str(piece), done=False)
        yield _turn(request, "", done=True, **_METRICS | self.last)

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        """A vector of the length of each text and its number; waits and fails as a stream's second piece does."""
        self.asked.append(request)
        self._known(request.model)
        _ = [piece async for piece in self._said()]
        texts = [request.input] if isinstance(request.input, str) and request.input else request.input or []
        vectors = [[float(len(text)), float(number)] for number, text in enumerate(texts)]
        return EmbedResponse(model=request.model, embeddings=vectors, total_duration=9, prompt_eval_count=len(texts))

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """The longest document first."""
        self.asked.append(request)
        self._known(request.model)
        _ = [piece async for piece in self._said()]
        order = sorted(range(len(request.documents)), key=lambda index: -len(request.documents[index]))
        results = [RankedDocument(index, float(len(request.documents[index]))) for index in order]
        return RerankResponse(model=request.model, results=results, total_duration=9)

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        """A token for each character, its code point."""
        self.asked.append(request)
        self._known(request.model)
        _ = [piece async for piece in self._said()]
        return TokenizeResponse(model=request.model, tokens=[ord(letter) for letter in request.content])

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        self.asked.append(request)
        self._known(request.model)
        return DetokenizeResponse(model=request.model, content="".join(map(chr, request.tokens)))

    async def count_tokens(self, request: ChatRequest) -> int:
        """A token for each character of the contents."""
        self._known(request.model)
        self.counted.append(request)
        return sum(len(message.content) for message in request.messages)

    async def running(self) -> list[RunningModel]:
        return self.loaded

    async def devices(self) -> list[Device]:
        return [Device("CPU", "A processor", "cpu", 16_000_000_000, 8_000_000_000, utilization=12.0)]

    async def plan(self, request: PlanRequest) -> MemoryPlan:
        self._known(request.model)
        self.planned.append(request)
        return self.plan_answer or MemoryPlan(model=request.model, fit="cpu", context_length=4096, slots=1)

    async def layers(self, name: str) -> list[LayerView]:
        self._known(name)
        return [LayerView(digest=f"sha256:{'0' * 64}", kind="model", size=3, frees=3, models=["other:latest"])]

    async def requests(self) -> list[RequestView]:
        return self.running_requests

    async def cancel(self, id: str) -> None:
        if id not in [request.id for request in self.running_requests]:
            raise NotFound(f"there is no request '{id}'")
        self.running_requests = [request for request in self.running_requests if request.id != id]

    async def pin(self, name: str, *, pinned: bool = True) -> None:
        full = self._known(name)
        self.pinned = self.pinned | {full} if pinned else self.pinned - {full}

    async def load(self, name: str, *, keep_alive: KeepAlive = None) -> None:
        self._known(name)

    async def unload(self, name: str) -> None:
        self._known(name)

    async def _said(self) -> AsyncGenerator[str | ChatChunk | GenerateChunk, None]:
        complete = False
        try:
            for number, piece in enumerate(self.pieces):
                if number and self.step is not None:
                    self.waiting.set()
                    await self.step.wait()
                    self.step.clear()
                if isinstance(piece, Exception):
                    complete = True
                    raise piece
                yield piece
            complete = True
        finally:
            if not complete:
                self.closed_early.set()

    def _known(self, name: str) -> str:
        full = name if ":" in name else f"{name}:latest"
        if full not in self.names:
            raise ModelNotFound(name)
        return full


_METRICS: dict[str, object] = {
    "done_reason": "stop",
    "total_duration": 9,
    "load_duration": 1,
    "prompt_eval_count": 3,
    "prompt_eval_duration": 2,
    "eval_count": 2,
    "eval_duration": 5,
}


def said(content: str = "", *, logprobs: list[Logprob] | None = None, tokens: int = 1, **fields: Any) -> ChatChunk:
    """A chunk for `pieces`: `said(thinking=...)`, `said(tool_calls=[...])`."""
    message = Message("assistant", content, **fields)
    return ChatChunk(model="bard", created_at=CREATED_AT, message=message, done=False, logprobs=logprobs, tokens=tokens)


def _turn(request: ChatRequest, text: str, **fields: object) -> ChatChunk:
    return ChatChunk(
        model=request.model,
        created_at=CREATED_AT,
        message=Message(role="assistant", content=text),
        **fields,  # pyright: ignore[reportArgumentType] - the fields of the last chunk, by name
    )


def _checked(digest: str) -> str:
    if not digest.startswith("sha256:") or len(digest) != 71:
        raise InvalidDigest(f"invalid digest format: {digest}")
    return digest
