"""The queue of pulls of the DemoEngine: it moves when a test says so, or by itself on a timer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from ollama_engine.errors import EngineError, InvalidName, NotFound
from ollama_engine.types import PullLayer, PullRequest, PullView, TransferLimits

MB = 1_000_000


def demo_pull(
    name: str, state: str = "running", *, part: float = 0.42, size: int = 4_920 * MB, rate: float = 38.4 * MB
) -> PullView:
    """A pull of a model whose weights are nearly all of it; its small layers come first."""
    small = (("8cf247399e57" + "0" * 52, 1_700), ("f1cd752815fc" + "0" * 52, 12_000), ("56bb8bd477a5" + "0" * 52, 96))
    weights = PullLayer(f"sha256:{'6a0746a1ec1a' + '0' * 52}", size, int(size * part))
    layers = [weights, *(PullLayer(f"sha256:{digest}", n, n if part else 0) for digest, n in small)]
    running = state == "running"
    return PullView(
        id=name.replace(":", "-"),
        name=name,
        state=state,  # pyright: ignore[reportArgumentType]
        status="pulling 6a0746a1ec1a" if running else "",
        total=sum(layer.total for layer in layers),
        completed=sum(layer.completed for layer in layers),
        rate=rate if running else 0.0,
        eta=size * (1 - part) / rate if running else 0.0,
        layers=layers,
    )


def failed_pull(name: str, error: str, hint: str) -> PullView:
    view = demo_pull(name, "failed", part=0.0, size=0)
    return msgspec.structs.replace(view, error=error, hint=hint, layers=[], total=0, completed=0)


class DemoPulls:
    """The verbs of the queue. Two run at a time; `advance` and `finish` move them."""

    def __init__(self, *views: PullView) -> None:
        self.views = {view.id: view for view in views}
        self.limits = TransferLimits(0, 182_000 * MB)
        self.requests: list[PullRequest] = []
        self.canceled: list[tuple[str, bool]] = []
        self.failures: dict[str, EngineError] = {}
        self._changed = asyncio.Condition()

    async def watch(self) -> AsyncGenerator[list[PullView], None]:
        self._check("pulls")
        while True:
            seen = list(self.views.values())
            yield seen
            async with self._changed:
                await self._changed.wait_for(lambda seen=seen: seen != list(self.views.values()))

    async def change(self, id: str, **fields: object) -> PullView:
        """Set fields of a pull, as what happens to it would."""
        view = msgspec.structs.replace(self._find(id), **fields)
        self.views[id] = view
        await self._tell()
        return view

    async def advance(self, id: str, part: float) -> None:
        view = self._find(id)
        layers = [
            msgspec.structs.replace(layer, completed=max(layer.completed, int(layer.total * part)))
            for layer in view.layers
        ]
        await self.change(id, layers=layers, completed=sum(layer.completed for layer in layers))

    async def finish(self, id: str) -> None:
        await self.advance(id, 1.0)
        await self.change(id, state="done", status="", rate=0.0, eta=0.0)

    async def fail(self, id: str, error: str, hint: str = "") -> None:
        await self.change(id, state="failed", status="", rate=0.0, eta=0.0, error=error, hint=hint)

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        self._check("pull_enqueue")
        if " " in request.model:
            raise InvalidName("invalid model name", hint="A name is MODEL, MODEL:TAG or HOST/NAMESPACE/MODEL:TAG.")
        self.requests.append(request)
        name = request.model if ":" in request.model else f"{request.model}:latest"
        view = demo_pull(name, self._next_state(), part=0.0)
        self.views[view.id] = view
        await self._tell()
        return view

    async def pull_pause(self, id: str) -> PullView:
        self._check("pull_pause")
        return await self.change(id, state="paused", status="", rate=0.0, eta=0.0)

    async def pull_resume(self, id: str) -> PullView:
        self._check("pull_resume")
        return await self.change(id, state=self._next_state(), error="", hint="")

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        self._check("pull_cancel")
        del self.views[self._find(id).id]
        self.canceled.append((id, remove_partials))
        await self._tell()

    async def pull_move(self, id: str, position: int) -> None:
        self._check("pull_move")
        moved = self._find(id)
        others = [view for view in self.views.values() if view.id != id]
        others.insert(max(0, position), moved)
        self.views = {view.id: view for view in others}
        await self._tell()

    async def transfer_limits(self) -> TransferLimits:
        self._check("transfer_limits")
        return self.limits

    async def limit_transfers(self, bandwidth: int) -> TransferLimits:
        self._check("limit_transfers")
        self.limits = TransferLimits(bandwidth, self.limits.free)
        return self.limits

    def _next_state(self) -> str:
        return "running" if sum(view.state == "running" for view in self.views.values()) < 2 else "queued"

    def _check(self, verb: str) -> None:
        if verb in self.failures:
            raise self.failures[verb]

    def _find(self, id: str) -> PullView:
        if id not in self.views:
            raise NotFound(f"there is no pull '{id}'")
        return self.views[id]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
