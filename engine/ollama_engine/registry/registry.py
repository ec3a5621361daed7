"""`Registry`: pull, push and look for updates, over one HTTP client and one budget of connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Self

import httpx

from ollama_engine.registry import hugging_face, web_pull
from ollama_engine.registry import pull as pulling
from ollama_engine.registry import push as pushing
from ollama_engine.registry import updates as checking
from ollama_engine.registry.client import RegistryClient, Resolve, open_http, resolve_host
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.pace import Throttle
from ollama_engine.registry.progress import PullProgress, PushProgress
from ollama_engine.registry.transfers import Transfers
from ollama_engine.registry.web_pull import Fetched
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store
from ollama_engine.types import Update


class Registry:
    """Transfers between a store and registries. It belongs to one event loop; use it as an async context manager.

    Args:
        http: a client to use instead of one of its own; it must not follow redirects.
        resolve: how host names become addresses, for the check of redirects.
    """

    def __init__(
        self,
        store: Store,
        *,
        config: RegistryConfig | None = None,
        http: httpx.AsyncClient | None = None,
        resolve: Resolve = resolve_host,
    ) -> None:
        self.store = store
        self.config = config or RegistryConfig()
        self._owns_http = http is None
        self._http = http or open_http(self.config)
        self._client = RegistryClient(self.config, self._http, resolve)
        self._upload_throttle = Throttle(self.config.bandwidth)
        self._transfers = Transfers(store, self._client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection. End the pulls first."""
        if self._owns_http:
            await self._http.aclose()

    def pull(self, name: ModelName, *, insecure: bool = False) -> AsyncGenerator[PullProgress, None]:
        """Bring a model into the store: see `pull.pull`."""
        return pulling.pull(self.store, self._client, self._transfers, name, insecure=insecure)

    def pull_files(
        self, urls: Sequence[str], *, insecure: bool = False
    ) -> AsyncGenerator[PullProgress | Fetched, None]:
        """Bring the GGUF files of links into the store as blobs: see `web_pull.pull_files`."""
        return web_pull.pull_files(self._client, self._transfers, urls, insecure=insecure)

    async def shard_urls(self, name: ModelName, *, insecure: bool = False) -> list[str]:
        """The files of a model in several files at Hugging Face: see `hugging_face.shard_urls`."""
        return await hugging_face.shard_urls(self._client, name, insecure=insecure)

    def push(self, name: ModelName, *, insecure: bool = False) -> AsyncGenerator[PushProgress, None]:
        """Send a model to the registry of its name: see `push.push`."""
        return pushing.push(self.store, self._client, self._upload_throttle, name, insecure=insecure)

    async def updates(
        self, names: Sequence[str | ModelName] | None = None, *, insecure: bool = False
    ) -> AsyncGenerator[Update, None]:
        """For each model of the store, or of `names`, whether its registry has another manifest: see `updates`."""
        if names is None:
            entries = await asyncio.to_thread(self.store.list)
        else:
            entries = [await asyncio.to_thread(self.store.resolve, name) for name in names]
        async with aclosing(checking.check(self._client, entries, insecure=insecure)) as answers:
            async for answer in answers:
                yield answer

    @property
    def bandwidth(self) -> int:
        """Bytes a second that all transfers of one direction may take; 0 for no limit. May be set at any time."""
        return self._transfers.throttle.bandwidth

    @bandwidth.setter
    def bandwidth(self, limit: int) -> None:
        self._transfers.throttle.bandwidth = self._upload_throttle.bandwidth = limit
