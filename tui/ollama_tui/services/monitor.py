"""What the PS pane watches: models in memory, requests, the machine's devices, and how they went over the last minutes.

Models come from the ResidencyService, which other panes ask as well; requests and devices are asked only while `watch`
holds. Each may fail without the others: a server of Ollama's tells of models alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ollama_engine.errors import EngineError
from ollama_engine.types import Device, KeepAlive, RequestView, RunningModel
from ollama_tui.services.history import History, Samples
from ollama_tui.services.latest import Latest
from ollama_tui.services.link import EngineLink
from ollama_tui.services.residency import RETRY_SECONDS, ResidencyService, ResidencyView

WATCHER = "ps"


@dataclass(frozen=True)
class MonitorView:
    """A snapshot. `known`: the engine has answered once; `error`: why it did not answer the last time.

    `models` are in the order in which they were first seen, by keys that stay the same while they load, work and rest.
    Histories are of tokens a second, by the same keys, and of a device's utilization in percent, by its name.
    """

    models: Mapping[str, RunningModel] = field(default_factory=dict)
    known: bool = False
    error: EngineError | None = None
    requests: tuple[RequestView, ...] = ()
    devices: tuple[Device, ...] = ()
    devices_error: EngineError | None = None
    generation: Mapping[str, Samples] = field(default_factory=dict)
    prompts: Mapping[str, Samples] = field(default_factory=dict)
    load: Mapping[str, Samples] = field(default_factory=dict)


def keyed(running: Iterable[RunningModel], before: Iterable[str] = ()) -> dict[str, RunningModel]:
    """The models by name, and by name and number where there are several runners of one (one that chats, one that
    embeds); those that were there `before` first, in that order."""
    models: dict[str, RunningModel] = {}
    for model in sorted(running, key=lambda model: model.pid or math.inf):
        number = 1
        while (key := model.name if number == 1 else f"{model.name} {number}") in models:
            number += 1
        models[key] = model
    kept = {key: models.pop(key) for key in before if key in models}
    return {**kept, **models}


class MonitorService:
    """`watch` while the pane is looked at, `leave` when not."""

    def __init__(
        self,
        link: EngineLink,
        residency: ResidencyService,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.view = Latest(MonitorView())
        self._link = link
        self._residency = residency
        self._clock = clock
        self._pace = residency.pace
        self._speeds, self._prompts, self._loads = (History(self._pace.seconds) for _ in range(3))
        self._tasks: list[asyncio.Task[None]] = []
        self._watched = asyncio.Event()

    @property
    def watched(self) -> bool:
        return self._watched.is_set()

    def watch(self) -> None:
        self._residency.watch_for(WATCHER)
        self._watched.set()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._follow_models(), name="monitor models"),
                asyncio.create_task(self._poll(self._ask_devices), name="monitor devices"),
                asyncio.create_task(self._poll(self._ask_requests), name="monitor requests"),
            ]

    def leave(self) -> None:
        self._residency.done_with(WATCHER)
        self._watched.clear()

    async def _follow_models(self) -> None:
        async for residency in self._residency.view.watch():
            self._take_models(residency)

    def _take_models(self, residency: ResidencyView) -> None:
        models = keyed(residency.running, self.view.value.models)
        if residency.known and residency.error is None:
            now = self._clock()
            self._speeds.add(((key, model.tokens_per_second) for key, model in models.items()), now)
            self._prompts.add(((key, model.prompt_tokens_per_second) for key, model in models.items()), now)
        self.view.publish(
            replace(
                self.view.value,
                models=models,
                known=residency.known,
                error=residency.error,
                generation={key: self._speeds[key] for key in models},
                prompts={key: self._prompts[key] for key in models},
            )
        )

    async def _poll(self, ask: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await self._watched.wait()
            answered = await ask()
            await self._pace.wait(0 if answered else RETRY_SECONDS)

    async def _ask_requests(self) -> bool:
        """Whether it was told; where not, nothing is known of requests, and nothing shown."""
        try:
            requests = tuple(await (await self._link.engine()).requests())
        except EngineError:
            requests = None
        self._publish_requests(requests or ())
        return requests is not None

    def _publish_requests(self, requests: tuple[RequestView, ...]) -> None:
        if requests != self.view.value.requests:
            self.view.publish(replace(self.view.value, requests=requests))

    async def _ask_devices(self) -> bool:
        try:
            devices = tuple(await (await self._link.engine()).devices())
        except EngineError as error:
            self.view.publish(replace(self.view.value, devices_error=error))
            return False
        loads = ((device.name, device.utilization) for device in devices)
        self._loads.add(((name, load) for name, load in loads if load is not None), self._clock())
        load = {device.name: self._loads[device.name] for device in devices}
        self.view.publish(replace(self.view.value, devices=devices, devices_error=None, load=load))
        return True

    async def refresh(self) -> None:
        """Ask now; a failure is part of the view, never raised."""
        await asyncio.gather(self._residency.refresh(), self._ask_devices(), self._ask_requests())

    @property
    def refresh_seconds(self) -> float:
        """How often all is asked while somebody looks; a new value holds at once."""
        return self._pace.seconds

    @refresh_seconds.setter
    def refresh_seconds(self, seconds: float) -> None:
        self._pace.seconds = seconds
        for history in (self._speeds, self._prompts, self._loads):
            history.interval = seconds

    async def load(self, name: str) -> None:
        """Bring a model into memory; EngineError as `Engine.load`."""
        await self._residency.load(name)

    async def unload(self, *names: str) -> None:
        """EngineError as `Engine.unload`, of the first that could not."""
        errors: list[EngineError] = []
        for name in dict.fromkeys(names):
            try:
                await self._residency.unload(name)
            except EngineError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def keep(self, name: str, keep_alive: KeepAlive) -> None:
        """Change how long a model in memory stays; EngineError as `Engine.load`."""
        await (await self._link.engine()).load(name, keep_alive=keep_alive)
        await self._residency.refresh()

    async def pin(self, name: str, *, pinned: bool) -> None:
        """EngineError as `Engine.pin`."""
        await (await self._link.engine()).pin(name, pinned=pinned)
        await self._residency.refresh()

    async def cancel(self, id: str) -> None:
        """End a request; EngineError as `Engine.cancel`."""
        await (await self._link.engine()).cancel(id)
        await asyncio.gather(self._residency.refresh(), self._ask_requests())

    async def aclose(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
