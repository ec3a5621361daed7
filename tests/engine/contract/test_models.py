"""The contract of the verbs about models, whichever engine does them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ollama_engine.engine import Engine
from ollama_engine.errors import (
    DigestMismatch,
    EngineError,
    InvalidDigest,
    InvalidRequest,
    ModelNotFound,
    RequestCanceled,
)
from ollama_engine.types import CreateRequest, Message


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_new_store_has_the_bundled_model(engine: Engine) -> None:
    [bard] = await engine.models()
    assert (bard.name, bard.model) == ("bard:latest", "bard:latest")
    assert bard.size > 1_000_000
    assert len(bard.digest) == 64
    assert (bard.details.format, bard.details.quantization_level) == ("gguf", "Q8_0")
    assert "completion" in bard.capabilities
    assert await engine.version()


async def test_show_tells_everything_of_a_model(engine: Engine) -> None:
    info = await engine.show("bard")
    assert "FROM " in info.modelfile
    assert "temperature" in info.parameters
    assert info.model_info["general.architecture"] == info.details.family
    assert "completion" in info.capabilities
    assert info.tensors
    assert info.modified_at


async def test_show_gives_long_arrays_only_when_asked(engine: Engine) -> None:
    key = "tokenizer.ggml.tokens"
    assert (await engine.show("bard")).model_info[key] == []
    assert len((await engine.show("bard", verbose=True)).model_info[key]) > 5


async def test_names_are_found_whatever_their_case_and_with_their_tag(engine: Engine) -> None:
    assert (await engine.show("BARD:latest")).modelfile == (await engine.show("bard")).modelfile


async def test_a_missing_model_is_not_found_by_any_verb(engine: Engine) -> None:
    with pytest.raises(ModelNotFound, match=r"'nope.*not found") as error:
        await engine.show("nope")
    assert error.value.name == "nope"
    with pytest.raises(ModelNotFound, match="not found"):
        await engine.delete("nope")
    with pytest.raises(ModelNotFound, match="not found"):
        await engine.copy("nope", "other")
    with pytest.raises(ModelNotFound, match="not found"):
        await engine.load("nope")
    with pytest.raises(ModelNotFound, match="not found"):
        await engine.unload("nope")


@pytest.mark.parametrize("name", ["", "a b", "../x", "x:y:z:"])
async def test_what_is_no_name_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises((InvalidRequest, ModelNotFound)):
        await engine.show(name)
    with pytest.raises((InvalidRequest, ModelNotFound)):
        await engine.delete(name)
    with pytest.raises(InvalidRequest, match="is invalid"):
        await engine.copy("bard", name)
    with pytest.raises(InvalidRequest):
        async for _ in engine.create(CreateRequest(name, from_="bard")):
            pass
    assert len(await engine.models()) == 1


async def test_a_copy_is_the_same_model_under_another_name(engine: Engine) -> None:
    await engine.copy("bard", "poet:v1")
    models = {model.name: model for model in await engine.models()}
    assert set(models) == {"bard:latest", "poet:v1"}
    assert models["poet:v1"].digest == models["bard:latest"].digest


async def test_a_deleted_model_is_gone_and_its_copy_stays_whole(engine: Engine) -> None:
    await engine.copy("bard", "poet")
    await engine.delete("bard")
    assert [model.name for model in await engine.models()] == ["poet:latest"]
    assert (await engine.show("poet")).tensors


async def test_blobs_are_stored_under_their_digest(engine: Engine) -> None:
    digest = f"sha256:{hashlib.sha256(b'one two').hexdigest()}"
    assert not await engine.has_blob(digest)
    assert await engine.put_blob(digest, body(b"one ", b"two"))
    assert await engine.has_blob(digest)
    assert not await engine.put_blob(digest, body(b"one two"))


async def test_a_blob_that_is_not_its_digest_is_refused_and_not_kept(engine: Engine) -> None:
    digest = f"sha256:{'0' * 64}"
    with pytest.raises(DigestMismatch, match="digest mismatch"):
        await engine.put_blob(digest, body(b"something else"))
    assert not await engine.has_blob(digest)
    assert not await engine.has_blob(f"sha256:{hashlib.sha256(b'something else').hexdigest()}")


@pytest.mark.parametrize(
    "digest", ["", "sha256:12", f"md5:{'0' * 64}", f"sha256:{'g' * 64}", "sha256:../../../etc/passwd"]
)
async def test_what_is_no_digest_is_refused(engine: Engine, digest: str) -> None:
    with pytest.raises(InvalidDigest):
        await engine.has_blob(digest)
    with pytest.raises(InvalidDigest):
        await engine.put_blob(digest, body(b"x"))


async def test_an_upload_that_breaks_off_stores_nothing(engine: Engine) -> None:
    digest = f"sha256:{hashlib.sha256(b'whole').hexdigest()}"

    async def breaking() -> AsyncIterator[bytes]:
        yield b"who"
        raise RequestCanceled("broken off")

    with pytest.raises(RequestCanceled):
        await engine.put_blob(digest, breaking())
    assert not await engine.has_blob(digest)


async def test_create_derives_a_model_and_ends_with_success(engine: Engine) -> None:
    request = CreateRequest(
        "poet",
        from_="bard",
        system="You are <terse> & kind.",
        parameters={"temperature": 0.1, "stop": ["A", "B"]},
        messages=[Message("user", "hi"), Message("assistant", "ho")],
    )
    steps = [step.status async for step in engine.create(request)]
    assert steps[-2:] == ["writing manifest", "success"]
    info = await engine.show("poet")
    assert info.system == "You are <terse> & kind."
    assert info.messages == [Message("user", "hi"), Message("assistant", "ho")]
    assert {"temperature", "stop"} <= {line.split()[0] for line in info.parameters.splitlines()}
    assert {model.name for model in await engine.models()} == {"poet:latest", "bard:latest"}


async def test_create_imports_a_gguf_file(engine: Engine, story: str) -> None:
    info = await engine.show(story)
    assert info.details.format == "gguf"
    assert info.model_info["general.architecture"] == "llama"


async def test_create_refuses_what_cannot_become_a_model(engine: Engine, gguf_files: dict[str, Path]) -> None:
    digest = f"sha256:{hashlib.sha256(b'not a gguf').hexdigest()}"
    await engine.put_blob(digest, body(b"not a gguf"))
    for request in (
        CreateRequest("m"),
        CreateRequest("m", files={"x.gguf": digest}),
        CreateRequest("m", files={"../x.gguf": digest}),
        CreateRequest("m", files={"x.gguf": "sha256:12"}),
    ):
        # Not InvalidRequest alone: an error after the first step reaches a remote caller without its status.
        with pytest.raises(EngineError) as error:
            async for _ in engine.create(request):
                pass
        assert error.value.message
    assert [model.name for model in await engine.models()] == ["bard:latest"]


async def test_a_create_that_is_closed_leaves_the_store_as_it_was(engine: Engine) -> None:
    async with aclosing(engine.create(CreateRequest("poet", from_="bard"))) as steps:
        await anext(steps)
    assert {model.name for model in await engine.models()} <= {"bard:latest", "poet:latest"}
    assert (await engine.show("bard")).tensors


async def test_the_devices_of_the_engines_machine_are_told(engine: Engine) -> None:
    cpu = next(device for device in await engine.devices() if device.kind == "cpu")
    assert 0 < cpu.free < cpu.total
