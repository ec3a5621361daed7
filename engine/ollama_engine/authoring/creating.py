"""From the text of a Modelfile to a model, with the files that the engine has already left where they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import msgspec

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.modelfile.compile import CreatePlan, create_from_plan, plan_create, plan_quantize
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_engine.modelfile.quantizations import QUANTIZATIONS
from ollama_engine.modelfile.stored import take_stored
from ollama_engine.types import Progress


def quantizations() -> tuple[str, ...]:
    """The types that weights can be quantized to with nothing else given, from the largest to the smallest."""
    return tuple(kind.name for kind in QUANTIZATIONS.values() if not kind.needs_imatrix)


def plan(text: str, base_dir: Path, *, quantize: str = "") -> CreatePlan:
    """Errors as `modelfile.parser.parse_modelfile` and `modelfile.compile.plan_create`."""
    rest, stored = take_stored(parse_modelfile(text))
    planned = replace(plan_create(rest, base_dir), stored=stored)
    return plan_quantize(replace(planned, request=msgspec.structs.replace(planned.request, quantize=quantize)), None)


async def create_steps(
    engine: Engine, text: str, name: str, base_dir: Path, *, quantize: str = ""
) -> AsyncGenerator[Progress, None]:
    """Make the model; closing this early leaves none. Errors as `plan` and `create_from_plan`."""
    planned = await asyncio.to_thread(plan, text, base_dir, quantize=quantize)
    stored = planned.stored
    for digest in (*stored.files.values(), *stored.adapters.values(), *stored.draft.values()):
        if not await engine.has_blob(digest):
            raise InvalidRequest(
                f"the engine's store has no file {digest}", hint="Name a model or the path of a GGUF file in FROM."
            )
    async with aclosing(create_from_plan(engine, planned, name)) as steps:
        async for step in steps:
            yield step
