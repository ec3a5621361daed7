"""The native API against a model of what should be: made, copied, removed, asked, loaded, unloaded in any order."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ollama_engine.settings import Settings
from tests.support.gguf_models import scripted_model
from tests.support.live_server import threaded_server

TEXTS = {"tale": "Once upon a time, a café.", "song": "Hey ho, the wind and the rain."}
"""Two sets of weights, and what they say."""
NAMES = st.sampled_from(["a", "A:latest", "b:v1", "ann/c", "B:V1"])
SYSTEMS = st.sampled_from(["", "Be brief.", 'Du bist <kurz>\\nund "laut".'])
SECONDS = 20


def key(name: str) -> str:
    """What two spellings of one name have in common."""
    return (name if ":" in name else f"{name}:latest").lower()


class Store(RuleBasedStateMachine):
    """`models` is what should be there: its weights and its system text, by name."""

    http: httpx.Client
    files: dict[str, bytes]
    """The weights, as GGUF."""

    def __init__(self) -> None:
        super().__init__()
        self.models: dict[str, tuple[str, str]] = {}
        self.loaded: set[str] = set()
        """Weights that should be in memory."""

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    @initialize()
    def begin(self) -> None:
        assert self.names() == set()

    @rule(name=NAMES, weights=st.sampled_from(sorted(TEXTS)), system=SYSTEMS, stream=st.booleans())
    def create_of_files(self, name: str, weights: str, system: str, stream: bool) -> None:
        self.make(name, weights, system=system, stream=stream)
        self.models[key(name)] = weights, system

    @rule(name=NAMES, base=NAMES, system=SYSTEMS)
    def create_from_another(self, name: str, base: str, system: str) -> None:
        if key(base) not in self.models:
            return  # it would be pulled
        weights, inherited = self.models[key(base)]
        self.expect_success(self.post("/api/create", **{"model": name, "from": base, "system": system}))
        self.models[key(name)] = weights, system or inherited

    @rule(source=NAMES, destination=NAMES)
    def copy(self, source: str, destination: str) -> None:
        answer = self.post("/api/copy", source=source, destination=destination)
        if key(source) in self.models:
            assert (answer.status_code, answer.content) == (200, b"")
            self.models[key(destination)] = self.models[key(source)]
        else:
            assert (answer.status_code, answer.json()["error"]) == (404, f'model "{source}" not found')

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        answer = self.http.request("DELETE", "/api/delete", json={"model": name})
        if self.models.pop(key(name), None):
            assert (answer.status_code, answer.content) == (200, b"")
        else:
            assert (answer.status_code, answer.json()["error"]) == (404, f"model '{name}' not found")

    @rule(name=NAMES)
    def show(self, name: str) -> None:
        answer = self.post("/api/show", model=name)
        if key(name) not in self.models:
            assert (answer.status_code, answer.json()["error"]) == (404, f"model '{name}' not found")
            return
        _, system = self.models[key(name)]
        assert answer.json().get("system", "") == system
        assert ("SYSTEM" in answer.json()["modelfile"]) == bool(system)

    @rule(name=NAMES, stream=st.booleans(), limit=st.sampled_from([-1, 3]))
    def generate(self, name: str, stream: bool, limit: int) -> None:
        answer = self.post("/api/generate", model=name, prompt="x", stream=stream, options={"num_predict": limit})
        if key(name) not in self.models:
            assert (answer.status_code, answer.json()["error"]) == (404, f"model '{name}' not found")
            return
        weights, _ = self.models[key(name)]
        parts = [json.loads(line) for line in answer.text.splitlines()]
        text = "".join(part["response"] for part in parts)
        assert {part["model"] for part in parts} == {name}
        assert text == TEXTS[weights] if limit < 0 else TEXTS[weights].startswith(text)
        assert parts[-1]["done_reason"] == ("stop" if limit < 0 else "length")
        self.loaded.add(weights)

    @rule(name=NAMES, verb=st.sampled_from(["generate", "chat"]), unload=st.booleans())
    def load_or_unload(self, name: str, verb: str, unload: bool) -> None:
        answer = self.post(f"/api/{verb}", model=name, **({"keep_alive": 0} if unload else {}))
        if key(name) not in self.models:
            assert answer.status_code == 404
            return
        assert answer.json()["done_reason"] == ("unload" if unload else "load")
        weights, _ = self.models[key(name)]
        (self.loaded.discard if unload else self.loaded.add)(weights)

    @rule()
    def look_at_memory(self) -> None:
        """Two names of the same weights share what is in memory; what was sent away goes within a moment."""
        until = time.monotonic() + SECONDS
        while len(running := self.http.get("/api/ps").json()["models"]) != len(self.loaded):
            assert time.monotonic() < until, (running, self.loaded)
        assert all(model["size"] >= model["size_vram"] for model in running)

    @invariant()
    def the_list_is_right(self) -> None:
        assert self.names() == set(self.models)

    def teardown(self) -> None:
        # What was removed while it was in memory has no name to unload it by.
        for weights in self.loaded:
            self.make(weights, weights)
            assert self.post("/api/generate", model=weights, keep_alive=0).json()["done_reason"] == "unload"
        self.loaded.clear()
        self.look_at_memory()
        for model in self.http.get("/api/tags").json()["models"]:
            assert self.http.request("DELETE", "/api/delete", json={"model": model["name"]}).status_code == 200

    def make(self, name: str, weights: str, **fields: Any) -> None:
        """As a client does it: the blob first, unless it is there."""
        data = self.files[weights]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.http.head(f"/api/blobs/{digest}").status_code == 404:
            assert self.http.post(f"/api/blobs/{digest}", content=data).status_code == 201
        self.expect_success(self.post("/api/create", model=name, files={f"{weights}.gguf": digest}, **fields))

    def names(self) -> set[str]:
        models = self.http.get("/api/tags").json()["models"]
        times = [model["modified_at"][:19] for model in models]  # to the second, as Ollama has it
        assert times == sorted(times, reverse=True)
        return {model["name"].lower() for model in models}

    def expect_success(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        assert json.loads(answer.text.splitlines()[-1]) == {"status": "success"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[type[Store]]:
    """On a live server whose store has no model."""
    with (
        threaded_server(Settings(models=tmp_path / "models", context_length=128)) as address,
        httpx.Client(base_url=address.url, timeout=SECONDS) as http,
    ):
        assert http.request("DELETE", "/api/delete", json={"model": "bard"}).status_code == 200
        Store.http = http
        Store.files = {
            name: scripted_model(tmp_path / f"{name}.gguf", text).read_bytes() for name, text in TEXTS.items()
        }
        yield Store


def run(machine: type[Store], examples: int, steps: int) -> None:
    bounds = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=bounds)


def test_any_order_of_calls_leaves_what_it_should(machine: type[Store]) -> None:
    run(machine, examples=5, steps=12)


@pytest.mark.soak
def test_many_orders_of_calls_leave_what_they_should(machine: type[Store]) -> None:
    run(machine, examples=60, steps=25)
