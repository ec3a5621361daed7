"""Accounts and ollama.com (spec §1.13), answered as by a server of Ollama's whose cloud is disabled: nobody is signed
in, nothing can be searched for, and the models that are recommended are those that run here."""

from __future__ import annotations

import asyncio

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ollama_engine.errors import EngineError, InvalidRequest, from_status
from ollama_engine.known_models import KnownModel, fits, known_models, machine_memory
from ollama_engine.server.encode import json_response
from ollama_engine.server.references import WEB_FETCH, WEB_SEARCH, cloud_disabled

MAX_RECOMMENDED = 8


class CloudStatus(Struct):
    disabled: bool
    source: str
    """What switched it off: `none`, `env`, `config` or `both`."""


class Status(Struct):
    cloud: CloudStatus


class Recommendation(Struct, omit_defaults=True, kw_only=True):
    """A model worth trying. `vram_bytes` is what it needs to run."""

    model: str
    description: str
    context_length: int
    max_output_tokens: int = 0
    vram_bytes: int


class Recommendations(Struct):
    recommendations: list[Recommendation]


async def status(request: Request) -> Response:
    return json_response(Status(CloudStatus(disabled=True, source="config")))


async def me(request: Request) -> Response:
    raise from_status(401, "unauthorized", hint="This server has no account at ollama.com, and needs none.")


async def sign_out(request: Request) -> Response:
    raise from_status(401, "you are not currently signed in")


async def web_search(request: Request) -> Response:
    raise await _refusal(request, WEB_SEARCH)


async def web_fetch(request: Request) -> Response:
    raise await _refusal(request, WEB_FETCH)


async def recommendations(request: Request) -> Response:
    return json_response(await asyncio.to_thread(_recommended))


async def _refusal(request: Request, what: str) -> EngineError:
    return cloud_disabled(what) if (await request.body()).strip() else InvalidRequest("missing request body")


def _recommended() -> Recommendations:
    """Well-known models that chat and fit this machine, the largest first."""
    memory = machine_memory()
    fitting = [
        model for model in known_models().models if "completion" in model.capabilities and fits(model, memory) != "no"
    ]
    fitting.sort(key=lambda model: -model.memory)
    return Recommendations([_recommendation(model) for model in fitting[:MAX_RECOMMENDED]])


def _recommendation(model: KnownModel) -> Recommendation:
    return Recommendation(
        model=model.name, description=model.note, context_length=model.context, vram_bytes=model.memory
    )
