"""`/metrics`."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.server.metrics.memory import Memory
from ollama_engine.server.metrics.meters import Meters
from ollama_engine.server.operations import TEXT, Body
from ollama_engine.server.routing import ExactRoute, Table

OURS = Table("ollama-tui")
OPENMETRICS = Body(str, "application/openmetrics-text")


class _All(Collector):
    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        for collector in self._collectors:
            yield from collector.collect()


def metrics_routes(engine: Engine, meters: Meters) -> list[ExactRoute]:
    async def metrics(request: Request) -> Response:
        memory = Memory(await engine.running())
        encode, media_type = exposition.choose_encoder(request.headers.get("accept", ""))
        return Response(encode(_All(meters.registry, memory)), headers={"Content-Type": media_type})

    summary = "What was done and what is held, for Prometheus"
    return [OURS("GET", "/metrics", metrics, summary, gives=(TEXT, OPENMETRICS))]
