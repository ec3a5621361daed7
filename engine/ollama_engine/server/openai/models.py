"""`/v1/models` and `/v1/models/{model}` (spec §2.5)."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.server.encode import json_response
from ollama_engine.server.openai.objects import ModelObject, ModelObjectList
from ollama_engine.server.references import DETAILS, local_name


class Models:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def list(self, request: Request) -> Response:
        models = await self.engine.models()
        return json_response(ModelObjectList("list", [_model(model.name, model.modified_at) for model in models]))

    async def one(self, request: Request) -> Response:
        name: str = request.path_params["model"]
        if not name:
            return await self.list(request)
        info = await self.engine.show(local_name(name, DETAILS))
        return json_response(_model(name, info.modified_at))


def _model(name: str, modified_at: str) -> ModelObject:
    return ModelObject(name, "model", _seconds(modified_at), _namespace(name))


def _seconds(timestamp: str) -> int:
    """RFC 3339 to Unix time; 0 where a server gives no time."""
    try:
        return int(datetime.fromisoformat(timestamp).timestamp())
    except ValueError:
        return 0


def _namespace(name: str) -> str:
    """`library` for a bare name, else the part before the model's own: `hf.co/ann/story:Q4` is ann's."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else "library"
