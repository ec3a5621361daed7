"""`LocalEngine`: the verbs, done here. Thin: store, catalog, inference, embedding and scheduler do the work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ollama_engine import __version__, bundled
from ollama_engine.catalog import Catalog
from ollama_engine.creation import create
from ollama_engine.embedding import Embedding
from ollama_engine.errors import (
    InvalidName,
    InvalidRequest,
    StoreError,
)
from ollama_engine.figures import Figures
from ollama_engine.gguf import read_header
from ollama_engine.inference import Inference
from ollama_engine.opening import Opener
from ollama_engine.requests import Requests
from ollama_engine.runner.client import Runner
from ollama_engine.scheduler.calibration import Calibration, calibrated
from ollama_engine.scheduler.devices import DeviceMonitor
from ollama_engine.scheduler.residency import Scheduler
from ollama_engine.settings import Settings, default_config_file, read_table
from ollama_engine.store import names
from ollama_engine.store.in_place import Placed, check_file, place
from ollama_engine.store.sharing import layers
from ollama_engine.store.store import Store
from ollama_engine.tokenizing import Tokenizing
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
    PruneReport,
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

if TYPE_CHECKING:
    from ollama_engine.registry import PullQueue, Registry, RegistryConfig


class LocalEngine:
    """An engine in this process; models run in children of it. Use it as an async context manager.

    Implements `ollama_engine.engine.Engine`. It belongs to the event loop it was entered in.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings.models)
        self._catalog = Catalog(self._store, go_template=settings.go_template)
        self._registry: Registry | None = None
        self._queue: PullQueue | None = None
        self._opening_queue = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._devices = DeviceMonitor()
        calibration = Calibration()
        start = calibrated(Runner.start, calibration, self._gpus)
        self._scheduler = Scheduler(self._settings, start=start, measure=self._devices.free_memory)
        self._requests = Requests(self._scheduler)
        self._figures = Figures(self._scheduler, self._devices)
        self._opener = Opener(self._store, self._catalog, self._scheduler, self._settings, calibration)
        self._inference = Inference(self._opener)
        self._embedding = Embedding(self._opener)
        self._tokenizing = Tokenizing(self._opener)
        await asyncio.to_thread(calibration.load)
        await asyncio.to_thread(_check_root, self._settings.models)
        await asyncio.to_thread(bundled.install, self._store)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        registry, self._registry = self._registry, None
        queue, self._queue = self._queue, None
        try:
            await self._scheduler.aclose()
        finally:
            await self._figures.aclose()
            await self._devices.aclose()
            if queue is not None:
                await queue.aclose()
            if registry is not None:
                await registry.aclose()

    async def version(self) -> str:
        return __version__

    async def models(self) -> list[ModelSummary]:
        return await asyncio.to_thread(self._catalog.summaries)

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        return await asyncio.to_thread(self._catalog.show, name, verbose=verbose)

    def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        return create(self._store, request, self.pull)

    async def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        registry = await self._registry_client()
        async with aclosing(_pull(self._store, registry, request)) as steps:
            async for step in steps:
                yield step

    async def pulls(self) -> AsyncGenerator[list[PullView], None]:
        queue = await self._pull_queue()
        async with aclosing(queue.watch()) as views:
            async for view in views:
                yield view

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        return await (await self._pull_queue()).add(request.model, insecure=request.insecure)

    async def pull_pause(self, id: str) -> PullView:
        return await (await self._pull_queue()).pause(id)

    async def pull_resume(self, id: str) -> PullView:
        return await (await self._pull_queue()).resume(id)

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        await (await self._pull_queue()).cancel(id, remove_partials=remove_partials)

    async def pull_move(self, id: str, position: int) -> None:
        await (await self._pull_queue()).move(id, position)

    async def transfer_limits(self) -> TransferLimits:
        registry = await self._registry_client()
        return TransferLimits(registry.bandwidth, await asyncio.to_thread(self._store.free_bytes))

    async def limit_transfers(self, bandwidth: int) -> TransferLimits:
        if bandwidth < 0:
            raise InvalidRequest("a bandwidth is not negative", hint="0 takes the limit away.")
        (await self._registry_client()).bandwidth = bandwidth
        return await self.transfer_limits()

    async def take_up_pulls(self) -> None:
        """Go on with the pulls that an earlier program left; a server does so when it starts."""
        await self._pull_queue()

    async def _pull_queue(self) -> PullQueue:
        """Opened when first wanted: a command that only lists models must not go on with an old pull."""
        async with self._opening_queue:
            if self._queue is None:
                from ollama_engine.registry import PullQueue

                registry = await self._registry_client()
                queue = PullQueue(registry, run=lambda request: _pull(self._store, registry, request))
                self._queue = await queue.__aenter__()
        return self._queue

    async def push(self, request: PushRequest) -> AsyncGenerator[TransferProgress, None]:
        name = names.parse(request.model)
        registry = await self._registry_client()
        async with aclosing(registry.push(name, insecure=request.insecure)) as steps:
            async for step in steps:
                yield step

    async def updates(
        self, names: Sequence[str] | None = None, *, insecure: bool = False
    ) -> AsyncGenerator[Update, None]:
        registry = await self._registry_client()
        async with aclosing(registry.updates(names, insecure=insecure)) as answers:
            async for answer in answers:
                yield answer

    async def _registry_client(self) -> Registry:
        """Made when first wanted: most engines never speak to a registry, and its libraries take long to import."""
        if self._registry is None:
            config = await asyncio.to_thread(_registry_config)
            if self._registry is None:  # nobody else made it meanwhile
                from ollama_engine.registry import Registry

                self._registry = Registry(self._store, config=config)
                self._registry.bandwidth = self._settings.bandwidth or config.bandwidth
        return self._registry

    async def layers(self, name: str) -> list[LayerView]:
        return await asyncio.to_thread(layers, self._store, name)

    async def copy(self, source: str, destination: str) -> None:
        for word, name in (("source", source), ("destination", destination)):
            try:
                names.parse(name)
            except InvalidName as error:
                raise InvalidRequest(f'{word} "{name}" is invalid', hint=error.hint) from error
        await asyncio.to_thread(self._store.copy, source, destination)

    async def delete(self, name: str) -> None:
        await asyncio.to_thread(self._store.delete, name)

    async def prune(self) -> PruneReport:
        """Remove blobs that no model uses and nobody is writing; a server does so when it starts, as Ollama's."""
        return await asyncio.to_thread(self._store.prune)

    async def has_blob(self, digest: str) -> bool:
        blobs = self._store.blobs
        return await asyncio.to_thread(lambda: blobs.exists(digest) and blobs.is_intact(digest))

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        return (await self._store.blobs.write_stream(digest, data)).new

    async def add_file(self, path: Path) -> Placed:
        """Make a GGUF file of this machine a blob in place: cloned, else linked, else copied; never written to.

        InvalidRequest and InvalidGGUF for what is no such file, StoreError where the store cannot be written.
        """
        return await asyncio.to_thread(_add_file, self._store, path)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        with self._requests.begin("generate", request.model) as running:
            async with aclosing(self._inference.generate(request, running)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        with self._requests.begin("chat", request.model) as running:
            async with aclosing(self._inference.chat(request, running)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        async with self._requests.breakable("embed", request.model) as running:
            return await self._embedding.embed(request, running)

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        async with self._requests.breakable("rerank", request.model) as running:
            return await self._embedding.rerank(request, running)

    async def devices(self) -> list[Device]:
        return await self._devices.read()

    async def plan(self, request: PlanRequest) -> MemoryPlan:
        return await self._opener.plan(request)

    async def _gpus(self) -> list[str]:
        return [gpu.name for gpu in (await self._devices.free_memory()).gpus]

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        async with self._requests.breakable("tokenize", request.model) as running:
            return await self._tokenizing.tokenize(request, running)

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        async with self._requests.breakable("tokenize", request.model) as running:
            return await self._tokenizing.detokenize(request, running)

    async def count_tokens(self, request: ChatRequest) -> int:
        async with self._requests.breakable("tokenize", request.model) as running:
            return await self._inference.count_tokens(request, running)

    async def requests(self) -> list[RequestView]:
        return self._requests.views()

    async def cancel(self, id: str) -> None:
        await self._requests.cancel(id)

    async def load(self, name: str, *, keep_alive: KeepAlive = None) -> None:
        async with self._requests.breakable("load", name) as running:
            await self._opener.load(name, keep_alive, request=running)

    async def pin(self, name: str, *, pinned: bool = True) -> None:
        if not pinned:
            return await self._opener.unpin(name)
        async with self._requests.breakable("load", name) as running:
            return await self._opener.load(name, None, request=running, pin=True)

    async def unload(self, name: str) -> None:
        await self._opener.unload(await self._opener.open(name, None))

    async def running(self) -> list[RunningModel]:
        return await self._figures.running()


def _pull(store: Store, registry: Registry, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
    from ollama_engine.pulling import pull  # with the registry's libraries, which take long to import

    return pull(store, registry, request)


def _registry_config() -> RegistryConfig:
    """The table `[registry]` of config.toml. For a thread: it reads a file and imports the whole room."""
    from ollama_engine.registry import RegistryConfig

    return RegistryConfig.from_table(read_table("registry"), where=str(default_config_file()))


def _check_root(root: Path) -> None:
    """StoreError where the models cannot lie at `root`; an empty list would look as if there were none."""
    hint = "OLLAMA_MODELS names the folder that holds the models."
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is not a folder", hint=hint)
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        raise StoreError(f"the models in {root} cannot be read: permission denied", hint=hint)


def _add_file(store: Store, path: Path) -> Placed:
    read_header(check_file(path))
    return place(store.blobs, path)
