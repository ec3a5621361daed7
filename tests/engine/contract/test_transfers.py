"""The contract of pull and push, whichever engine does them, against a real registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError
from ollama_engine.store import manifest as media
from ollama_engine.types import ChatRequest, CreateRequest, Message, PullRequest, PushRequest
from tests.engine.contract.conftest import TEXT
from tests.support.registry_server import RunningRegistry, running_registry, upload

MIB = 1 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def story_there(registry: RunningRegistry, gguf_files: dict[str, Path]) -> str:
    """The model of `story` in the registry, and not here."""
    layers = [(media.MODEL, gguf_files["story"].read_bytes()), (media.SYSTEM, b"Be brief.")]
    upload(registry.url, "tests/story", "latest", layers)
    return f"{registry.host}/tests/story"


def configure(home: Path, text: str) -> None:
    """Write config.toml, before the engine first asks a registry."""
    path = home / "config" / "ollama-tui" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


async def test_a_pulled_model_speaks(engine: Engine, story_there: str, gguf_files: dict[str, Path]) -> None:
    steps = [step async for step in engine.pull(PullRequest(story_there, insecure=True))]
    assert steps[0].status == "pulling manifest"
    assert [step.status for step in steps[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
    weights = [step for step in steps if step.total == gguf_files["story"].stat().st_size]
    assert weights[-1].completed == weights[-1].total
    assert weights[-1].status == f"pulling {weights[-1].digest.removeprefix('sha256:')[:12]}"
    assert (await engine.show(story_there)).system == "Be brief."
    request = ChatRequest(story_there, [Message("user", "Tell me.")])
    assert "".join([chunk.message.content async for chunk in engine.chat(request)]) == TEXT


async def test_a_pushed_model_can_be_pulled_again(engine: Engine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/tests/pushed"
    await engine.copy("bard", name)
    before = await engine.show(name)
    steps = [step.status async for step in engine.push(PushRequest(name, insecure=True))]
    assert (steps[0], steps[-2:]) == ("retrieving manifest", ["pushing manifest", "success"])
    await engine.delete(name)
    async for _ in engine.pull(PullRequest(name, insecure=True)):
        pass
    after = await engine.show(name)
    assert (after.modelfile, after.model_info) == (before.modelfile, before.model_info)


async def test_a_pull_that_is_closed_keeps_what_came(
    engine: Engine, registry: RunningRegistry, tmp_path: Path, home: Path
) -> None:
    configure(home, "[registry]\nbandwidth = 8_000_000\n")
    data = os.urandom(8 * MIB)
    upload(registry.url, "tests/large", "latest", [(media.MODEL, data)])
    name = f"{registry.host}/tests/large"
    async with aclosing(engine.pull(PullRequest(name, insecure=True))) as steps:
        async for step in steps:
            if 0 < step.completed < step.total == len(data):
                break
    assert list((tmp_path / "models" / "blobs").glob("*-partial"))
    assert name not in {model.name for model in await engine.models()}
    rates = []
    async for step in engine.pull(PullRequest(name, insecure=True)):
        rates.append(step.rate)
    assert 0 < max(rates) < 100_000_000
    assert not list((tmp_path / "models" / "blobs").glob("*-partial*"))


async def test_create_pulls_the_model_it_builds_on(
    engine: Engine, story_there: str, home: Path, registry: RunningRegistry
) -> None:
    configure(home, f'[registry.hosts."{registry.host}"]\ninsecure = true\n')
    steps = [step.status async for step in engine.create(CreateRequest("mine", from_=story_there, system="Mine."))]
    assert steps[0] == "pulling manifest"
    assert steps.count("success") == 1
    assert steps[-1] == "success"
    assert (await engine.show("mine")).system == "Mine."
    assert {model.name for model in await engine.models()} >= {"mine:latest", f"{story_there}:latest"}


async def test_nothing_is_pulled_for_a_create_that_could_not_succeed(engine: Engine, story_there: str) -> None:
    # The first step there is: an engine that pulled before it looked would say so.
    with pytest.raises(EngineError, match="template error"):
        await anext(engine.create(CreateRequest("mine", from_=story_there, template="{{ .Broken")))


async def test_a_model_that_the_registry_has_not_is_named(engine: Engine, registry: RunningRegistry) -> None:
    # Not NotFound over HTTP: the first step has been told by then.
    with pytest.raises(EngineError, match=r"^pull model manifest: file does not exist$") as error:
        async for _ in engine.pull(PullRequest(f"{registry.host}/tests/absent", insecure=True)):
            pass
    assert registry.host.partition(":")[0] in error.value.hint


async def test_a_model_that_is_not_here_cannot_be_pushed(engine: Engine, registry: RunningRegistry) -> None:
    with pytest.raises(EngineError, match="not found"):
        async for _ in engine.push(PushRequest(f"{registry.host}/tests/absent", insecure=True)):
            pass


@pytest.mark.parametrize("name", ["", "../x", "a b", "ftp://host/ns/x"])
async def test_what_is_no_name_is_refused_at_once(engine: Engine, name: str) -> None:
    with pytest.raises(EngineError, match="invalid model name") as error:
        await anext(engine.pull(PullRequest(name)))
    assert error.value.status == 400


async def test_plain_http_must_be_allowed(engine: Engine, registry: RunningRegistry) -> None:
    with pytest.raises(EngineError, match="insecure protocol http"):
        async for _ in engine.pull(PullRequest(f"http://{registry.host}/tests/story")):
            pass


async def test_updates_are_told_without_a_download(engine: Engine, registry: RunningRegistry) -> None:
    for repository in ("updates/old", "updates/same"):
        upload(registry.url, repository, "latest", [(media.MODEL, b"weights" * MIB)])
        async for _ in engine.pull(PullRequest(f"{registry.host}/{repository}", insecure=True)):
            pass
    upload(registry.url, "updates/old", "latest", [(media.MODEL, b"better weights")])
    made = f"{registry.host}/updates/made"
    await engine.copy("bard", made)
    names = [f"{registry.host}/updates/{word}" for word in ("old", "same", "made")]
    before = await engine.models()
    found = {update.name: update async for update in engine.updates(names, insecure=True)}
    assert {name.rpartition("/")[2]: update.state for name, update in found.items()} == {
        "old:latest": "newer",
        "same:latest": "current",
        "made:latest": "absent",
    }
    assert found[f"{names[0]}:latest"].local != found[f"{names[0]}:latest"].remote
    assert await engine.models() == before


async def test_updates_of_a_model_that_is_not_here_is_an_error(engine: Engine) -> None:
    with pytest.raises(EngineError, match="absent") as error:
        await anext(engine.updates(["absent"]))
    assert error.value.status == 404


async def test_a_store_without_models_has_no_updates(engine: Engine) -> None:
    await engine.delete("bard")
    assert [update async for update in engine.updates()] == []
