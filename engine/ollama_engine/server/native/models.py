"""`/api/tags`, `/api/ps`, `/api/show`, `/api/create`, `/api/copy`, `/api/delete` (spec §1.7-1.9)."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidName, InvalidRequest, ModelNotFound
from ollama_engine.server.decode import read_request
from ollama_engine.server.encode import json_response
from ollama_engine.server.native.overlay import overlaid
from ollama_engine.server.references import DETAILS, INFERENCE, cloud_disabled, local_name
from ollama_engine.server.streaming import progress_answer
from ollama_engine.types import JSON, CreateRequest, Device, LayerView, ModelSummary, PlanRequest, RunningModel

_NAME = {"name": "model"}


class ShowRequest(Struct):
    """`system` and `options` stand in the Modelfile that is shown, in the place of the model's own."""

    model: str
    verbose: bool = False
    """Long arrays of the metadata, too, such as the vocabulary."""
    system: str = ""
    template: str = ""
    """Not looked at, as Ollama has it."""
    options: JSON | None = None


class CopyRequest(Struct):
    source: str
    destination: str


class DeleteRequest(Struct):
    model: str


class CreateModelRequest(CreateRequest):
    """A model to make. `from` names another one, `files` are blobs that have been uploaded: path to digest."""

    remote_host: str = ""
    """Ollama's, for models that run elsewhere: refused."""


class LayersRequest(Struct):
    model: str


class Layers(Struct):
    layers: list[LayerView]


class ModelList(Struct):
    models: list[ModelSummary]


class RunningModels(Struct):
    models: list[RunningModel]


class Devices(Struct):
    devices: list[Device]


class Models:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def tags(self, request: Request) -> Response:
        return json_response(ModelList(await self.engine.models()))

    async def ps(self, request: Request) -> Response:
        """Models still loading for the first time are listed only with `?loading=true` (ours)."""
        models = await self.engine.running()
        if request.query_params.get("loading") != "true":
            models = [model for model in models if model.state != "loading"]
        return json_response(RunningModels(models))

    async def devices(self, request: Request) -> Response:
        """What the machine computes on (ours)."""
        return json_response(Devices(await self.engine.devices()))

    async def plan(self, request: Request) -> Response:
        """Where a model would lie in memory (ours)."""
        body = await read_request(request, PlanRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        return json_response(await self.engine.plan(body))

    async def layers(self, request: Request) -> Response:
        """The blobs of a model and who else uses them (ours)."""
        body = await read_request(request, LayersRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        return json_response(Layers(await self.engine.layers(body.model)))

    async def show(self, request: Request) -> Response:
        body = await read_request(request, ShowRequest, aliases=_NAME)
        if not body.model:
            raise InvalidRequest("model is required")
        info = await self.engine.show(local_name(body.model, DETAILS), verbose=body.verbose)
        if body.system or body.options:
            info = overlaid(info, body.system, body.options)
        if request.headers.get("user-agent", "").startswith("GitHubCopilotChat/"):
            info.model_info["general.basename"] = body.model  # what that program shows as the name
        return json_response(info)

    async def create(self, request: Request) -> Response:
        body = await read_request(request, CreateModelRequest, aliases=_NAME | {"quantization": "quantize"})
        if not body.model:
            raise InvalidName("invalid model name")
        if body.remote_host:
            raise cloud_disabled(INFERENCE)
        body.from_ = local_name(body.from_)
        return progress_answer(self.engine.create(_plain(body)), body.stream)

    async def copy(self, request: Request) -> Response:
        body = await read_request(request, CopyRequest)
        for role, name in (("source", body.source), ("destination", body.destination)):
            if not name:
                raise InvalidName(f'{role} "" is invalid')
        try:
            await self.engine.copy(body.source, body.destination)
        except ModelNotFound as error:
            raise ModelNotFound(error.name, f'model "{body.source}" not found', hint=error.hint) from error
        return Response()

    async def delete(self, request: Request) -> Response:
        body = await read_request(request, DeleteRequest, aliases=_NAME)
        if not body.model:
            raise InvalidName('name "" is invalid')
        await self.engine.delete(body.model)
        return Response()


def _plain(body: CreateModelRequest) -> CreateRequest:
    return CreateRequest(**{name: getattr(body, name) for name in CreateRequest.__struct_fields__})
