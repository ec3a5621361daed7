"""From a model's name to a lease on its runner: what every request does first, whatever it asks of the model.

Used by inference.py, embedding.py and tokenizing.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ollama_engine.catalog import Catalog, details
from ollama_engine.durations import parse_keep_alive
from ollama_engine.gguf.metadata import ModelMetadata
from ollama_engine.modelfile.adapters import check_scales
from ollama_engine.options import Options, asked_for, merge_options
from ollama_engine.prompt.render import ChatTemplate
from ollama_engine.requests import Request
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Adapter, Pooling
from ollama_engine.scheduler.placement import PROJECTOR_CONTEXT, FreeMemory, Placement, place
from ollama_engine.scheduler.residency import Lease, Scheduler
from ollama_engine.scheduler.ticket import Subject, Ticket, Use
from ollama_engine.settings import Settings
from ollama_engine.store.model import Model, open_model
from ollama_engine.store.store import Store
from ollama_engine.types import JSON, KeepAlive


@dataclass(frozen=True)
class Opened:
    """A model as a request meets it: its layers, its weights' metadata, the options in force."""

    requested: str
    model: Model
    metadata: ModelMetadata
    capabilities: tuple[str, ...]
    options: Options
    given: frozenset[str]
    template: ChatTemplate
    inserter: ChatTemplate | None
    """The template that has a form for a suffix, if the model has one."""

    def subject(self, pooling: Pooling = "") -> Subject:
        """What is in memory for it. A runner that embeds is another one than the runner that generates: both may
        be there at once (their weights are the same pages of one file), and neither waits for the other."""
        projectors = [] if pooling else list(map(str, self.model.projector_paths))
        adapters = [f"{adapter.path} x {adapter.scale}" for adapter in self.adapters]
        use = [f"embedding: {pooling}"] if pooling else []
        key = "\n".join([*map(str, self.model.model_paths), *adapters, *projectors, *use])
        weights = tuple(map(str, self.model.model_paths))
        return Subject(key, self.model.name.display, self.model.digest, details(self.model, self.metadata), weights)

    @property
    def adapters(self) -> list[Adapter]:
        """The LoRA adapters with their scales: `adapter_scale` has one for each in turn, the others have 1."""
        scales = self.options.adapter_scale
        return [
            Adapter(str(path), scales[number] if number < len(scales) else 1.0)
            for number, path in enumerate(self.model.adapter_paths)
        ]

    @property
    def pooling(self) -> Pooling:
        """How the model embeds: as its GGUF says. Where that says nothing, or `none`, a model that looks ahead gives
        the mean of its tokens and a causal one its last token, the only one that has seen the whole input."""
        match self.metadata.pooling:
            case "mean" | "cls" | "last" | "rank" as pooling:
                return pooling
            case _:
                return "last" if self.metadata.is_causal else "mean"

    @property
    def main_use(self) -> Pooling:
        """The pooling of the runner that the model is there for: empty unless it can do nothing but embed."""
        embeds = "embedding" in self.capabilities and "completion" not in self.capabilities
        return self.pooling if embeds else ""

    def context(self, runner: Runner) -> int:
        """Tokens of one sequence that this request may use of `runner`."""
        least = PROJECTOR_CONTEXT if self.model.projector_paths else 0
        return min(max(self.options.num_ctx, least) if self.options.num_ctx else runner.info.n_ctx, runner.info.n_ctx)


class Opener:
    """Opens models of a store and leases their runners."""

    def __init__(self, store: Store, catalog: Catalog, scheduler: Scheduler, settings: Settings) -> None:
        self.catalog = catalog
        self._store = store
        self._scheduler = scheduler
        self._settings = settings

    async def open(self, name: str, request_options: JSON | None) -> Opened:
        """Resolve a model and its options; ModelNotFound, InvalidName, InvalidRequest."""
        return await asyncio.to_thread(self._open, name, request_options)

    def _open(self, name: str, request_options: JSON | None) -> Opened:
        model = open_model(self._store, name)
        for path in (*model.model_paths, *model.projector_paths, *model.adapter_paths, *model.draft_paths):
            self._store.blobs.check_original(path)
        options = merge_options(self._settings.options, model.parameters, request_options)
        metadata = self.catalog.metadata(model)
        return Opened(
            requested=name,
            model=model,
            metadata=metadata,
            capabilities=self.catalog.capabilities(model),
            options=options,
            given=asked_for(options, model.parameters, request_options),
            template=self.catalog.template(model),
            inserter=self.catalog.inserter(model),
        )

    @contextlib.asynccontextmanager
    async def lease(
        self,
        opened: Opened,
        keep_alive: float | None,
        pooling: Pooling = "",
        *,
        request: Request,
        use: Use = "answer",
        pin: bool = False,
    ) -> AsyncIterator[Lease]:
        """A runner of the model for the length of the block; see Scheduler.lease. With `pooling`, one that embeds.
        Canceling the `request` ends the wait for it."""

        def on_ticket(ticket: Ticket) -> None:
            request.ticket = ticket

        async with contextlib.AsyncExitStack() as stack:
            async with request.breakable():
                await asyncio.to_thread(self._check, opened, pooling)
                leasing = self._scheduler.lease(
                    opened.subject(pooling),
                    lambda free: self._place(opened, pooling, free),
                    keep_alive,
                    use=use,
                    pin=pin,
                    on_ticket=on_ticket,
                )
                lease = await stack.enter_async_context(leasing)
            yield lease

    def _check(self, opened: Opened, pooling: Pooling) -> None:
        check_scales(opened.options.adapter_scale, len(opened.model.adapter_paths))
        self.catalog.check_adapters(opened.model)
        if not pooling:
            self.catalog.check_projectors(opened.model)

    def _place(self, opened: Opened, pooling: Pooling, free: FreeMemory) -> Placement:
        return place(
            opened.model.model_paths,
            opened.metadata,
            opened.options,
            opened.given,
            self._settings,
            free,
            pooling,
            opened.model.projector_paths,
            opened.adapters,
        )

    async def load(self, name: str, keep_alive: KeepAlive, *, request: Request, pin: bool = False) -> None:
        """Bring a model into memory, for what it is there for."""
        opened = await self.open(name, None)
        seconds = None if keep_alive is None else parse_keep_alive(keep_alive)
        async with self.lease(opened, seconds, opened.main_use, request=request, use="load", pin=pin):
            pass

    async def unpin(self, name: str) -> None:
        for key in self._keys(await self.open(name, None)):
            self._scheduler.unpin(key)

    async def unload(self, opened: Opened) -> None:
        """Let every runner of the model go as soon as its requests have ended."""
        await asyncio.gather(*map(self._scheduler.unload, self._keys(opened)))

    def _keys(self, opened: Opened) -> set[str]:
        """Of every runner that the model may have."""
        keys = {opened.subject().key, opened.subject(opened.pooling).key}
        # A request may have asked for other adapter scales than the model has: that is a runner of its own.
        subjects = (resident.subject for resident in self._scheduler.residents)
        return keys | {subject.key for subject in subjects if subject.digest == opened.model.digest}
