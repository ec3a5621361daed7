"""A real registry for the whole session, a store for each test, and what pulls say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ollama_engine.registry import PullProgress, Registry, RegistryConfig
from ollama_engine.store import ModelName, Store, names
from ollama_engine.store import manifest as media
from tests.support.registry_server import RunningRegistry, running_registry, upload

MIB = 1 << 20
Weights = Callable[[int], tuple[str, bytes]]


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def config(home: Path) -> RegistryConfig:
    """As users have it, but impatient."""
    return RegistryConfig(key_file=home / ".ollama" / "id_ed25519", stall=2.0, backoff=0.01, connections=4)


@pytest.fixture(scope="session")
def uploaded() -> dict[tuple[int, int], tuple[str, bytes]]:
    """What the registry has by now: pulling changes nothing there, so tests share its models."""
    return {}


@pytest.fixture
def weights(registry_server: RunningRegistry, uploaded: dict[tuple[int, int], tuple[str, bytes]]) -> Weights:
    """A model of so many random bytes in the registry: its repository (`ns/model`) and the bytes. Asked again in
    the same test, another one."""
    asked = Counter[int]()

    def make(size: int) -> tuple[str, bytes]:
        asked[size] += 1
        key = (size, asked[size])
        if key not in uploaded:
            repository, data = f"tests/model{len(uploaded)}", random.Random(repr(key)).randbytes(size)
            upload(registry_server.url, repository, "latest", [(media.MODEL, data), (media.SYSTEM, b"Be brief.")])
            uploaded[key] = repository, data
        return uploaded[key]

    return make


def name_at(host: str, repository: str, tag: str = "latest") -> ModelName:
    return names.parse(f"{host}/{repository}:{tag}")


async def pull(store: Store, config: RegistryConfig, name: ModelName) -> list[PullProgress]:
    """Pull over plain http; everything that was said."""
    async with Registry(store, config=config) as registry:
        return [step async for step in registry.pull(name, insecure=True)]


def model_bytes(store: Store, name: ModelName) -> bytes:
    """The weights of a model in the store."""
    entry = store.resolve(name)
    return store.layer_path(entry.name, entry.manifest.layers[0]).read_bytes()
