"""`/api/layers` over HTTP, under both names of the model."""

from __future__ import annotations

import httpx
import pytest


@pytest.mark.parametrize("name", ["model", "name"])
async def test_the_layers_of_a_model(name: str, http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/layers", json={name: "bard"})
    assert answer.status_code == 200
    (layer,) = answer.json()["layers"]
    assert layer == {
        "digest": f"sha256:{'0' * 64}", "kind": "model", "size": 3, "frees": 3, "models": ["other:latest"]
    }  # fmt: skip


async def test_a_model_must_be_named_and_be_here(http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/layers", json={})).status_code == 400
    assert (await http.post("/api/layers", json={"model": "nobody"})).status_code == 404
