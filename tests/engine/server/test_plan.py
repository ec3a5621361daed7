"""`/api/plan`: a plan over HTTP, under both names of the model."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from ollama_engine.types import DevicePlan, MemoryPlan
from tests.support.scripted_engine import ScriptedEngine

PLAN = MemoryPlan(
    model="bard",
    fit="partial",
    context_length=8192,
    slots=2,
    layers=33,
    gpu_layers=20,
    size=5_000_000_000,
    devices=[DevicePlan(name="CUDA0", layers=20, weights=3_000_000_000, free=4_000_000_000), DevicePlan(name="CPU")],
    reason="20 of 33 layers on the GPU",
    hint="With num_ctx 4096 it fits the GPU.",
)


@pytest.mark.parametrize("name", ["model", "name"])
async def test_a_plan_is_asked_for_with_options(name: str, http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.plan_answer = PLAN
    answer = await http.post("/api/plan", json={name: "bard", "options": {"num_ctx": 8192}})
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.content, type=MemoryPlan) == PLAN
    assert "cpu_moe" not in answer.json()
    (asked,) = engine.planned
    assert (asked.model, asked.options) == ("bard", {"num_ctx": 8192})


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "model is required"),
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({"model": 3}, 400, "model"),
        ({"model": "bard", "options": 3}, 400, "options"),
    ],
)
async def test_what_cannot_be_planned_is_said(
    body: dict[str, Any], status: int, says: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post("/api/plan", json=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]
