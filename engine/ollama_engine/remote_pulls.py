"""The queue of pulls of a server: the verbs of a RemoteEngine that only our own server knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from ollama_engine.errors import EngineError, NotSupported
from ollama_engine.remote_verbs import RemoteVerbs, own_id
from ollama_engine.types import PullRequest, PullView, TransferLimits

PULLS_INTERVAL = 0.25
"""Seconds between two looks at the queue of pulls."""


class RemotePulls(RemoteVerbs):
    async def pulls(self) -> AsyncGenerator[list[PullView], None]:
        seen: list[PullView] | None = None
        while True:
            answer = await self._queue("GET", "/api/pulls")
            if (views := self._listed(answer.get("pulls"), PullView)) != seen:
                seen = views
                yield views
            await asyncio.sleep(PULLS_INTERVAL)

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        return self._made(await self._queue("POST", "/api/pulls", request), PullView)

    async def pull_pause(self, id: str) -> PullView:
        return self._made(await self._queue("POST", f"/api/pulls/{_pull_id(id)}/pause", {}), PullView)

    async def pull_resume(self, id: str) -> PullView:
        return self._made(await self._queue("POST", f"/api/pulls/{_pull_id(id)}/resume", {}), PullView)

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        await self._queue("DELETE", f"/api/pulls/{_pull_id(id)}", {"remove_partials": remove_partials})

    async def pull_move(self, id: str, position: int) -> None:
        await self._queue("POST", f"/api/pulls/{_pull_id(id)}/move", {"position": position})

    async def transfer_limits(self) -> TransferLimits:
        return self._made(await self._queue("GET", "/api/pulls/limits"), TransferLimits)

    async def limit_transfers(self, bandwidth: int) -> TransferLimits:
        return self._made(await self._queue("POST", "/api/pulls/limits", {"bandwidth": bandwidth}), TransferLimits)

    async def _queue(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """An answer about the queue of pulls, which only our own server has."""
        try:
            return await self._server.ask(method, path, body, quick=False)
        except EngineError as error:
            # A server that has the queue names the pull that it has not; others do not know the path.
            if error.status in (404, 405) and "there is no pull" not in error.message:
                raise NotSupported(
                    f"the server at {self.host.url} keeps no queue of pulls",
                    hint="Pull with: ollama-tui pull MODEL. A server of ollama-tui's has a queue.",
                ) from error
            raise


def _pull_id(id: str) -> str:
    return own_id(id, "pull", "List the pulls to see which there are.")
