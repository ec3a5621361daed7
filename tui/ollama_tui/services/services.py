"""All services of one workstation, made and ended together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import platformdirs

from ollama_engine.settings import APP
from ollama_tui.chats import ChatStore
from ollama_tui.services.bench import BenchService
from ollama_tui.services.catalog import CatalogService
from ollama_tui.services.conversations import ChatService
from ollama_tui.services.drafts import DraftStore
from ollama_tui.services.fits import FitService
from ollama_tui.services.jobs import JobService
from ollama_tui.services.library import LibraryService
from ollama_tui.services.link import EngineLink
from ollama_tui.services.listing import ListingFile
from ollama_tui.services.modelfiles import ModelfileService
from ollama_tui.services.monitor import MonitorService
from ollama_tui.services.pulls import PullsService
from ollama_tui.services.residency import REFRESH_SECONDS, ResidencyService


class Services:
    """`clock` gives Unix seconds; `machine_memory` the bytes a model may use here (it may take a moment);
    `refresh_seconds` is how often PS asks what is in memory; `model`, where given, gets a new conversation; `listing`
    keeps the list of models for the next time."""

    def __init__(
        self,
        link: EngineLink,
        chats: ChatStore,
        *,
        clock: Callable[[], float],
        machine_memory: Callable[[], int],
        refresh_seconds: float = REFRESH_SECONDS,
        model: str | None = None,
        listing: ListingFile | None = None,
    ) -> None:
        self.link = link
        self.clock = clock
        self.machine_memory = machine_memory
        self.library = LibraryService(link, listing)
        self.catalog = CatalogService(link)
        self.fits = FitService(self.library)
        self.jobs = JobService(link, self.library.refresh)
        drafts = DraftStore(Path(platformdirs.user_state_dir(APP)) / "modelfiles")
        self.modelfiles = ModelfileService(link, self.library, self.jobs, drafts, clock=clock)
        self.pulls = PullsService(link, self.library, clock=clock)
        self.residency = ResidencyService(link, refresh_seconds=refresh_seconds)
        self.monitor = MonitorService(link, self.residency, clock=clock)
        self.chats = ChatService(link, chats, clock=clock, model=model)
        self.bench = BenchService(link, chats.path.with_name("bench.db"), clock=clock)
        self._store = chats

    async def keep(self) -> None:
        """Stop answers and write down what was said and typed; quick, and safe to call twice."""
        await self.chats.aclose()
        await self.bench.aclose()
        await self.jobs.aclose()
        await self.fits.aclose()
        await self._store.aclose()
        await self.pulls.aclose()
        await self.monitor.aclose()
        await self.residency.aclose()

    async def aclose(self) -> None:
        """`keep`, then end the engine, which may take a moment; safe to call twice."""
        await self.keep()
        await self.link.aclose()
