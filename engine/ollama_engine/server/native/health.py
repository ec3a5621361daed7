"""`/healthz` and `/readyz`, which are ours: is the process alive, and may it be sent requests (Kubernetes' words)."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.server.encode import json_response


class HealthStatus(Struct):
    status: str


class Health:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def alive(self, request: Request) -> Response:
        """Answered even while the server drains: it is not dead then, and must not be killed (see drain.py)."""
        return json_response(HealthStatus("ok"))

    async def ready(self, request: Request) -> Response:
        """Whether the store can be read; while the server drains, 503 (drain.py refuses it as any other request)."""
        await self.engine.models()
        return json_response(HealthStatus("ready"))
