from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path

import pytest

from ollama_engine.errors import DigestMismatch, InvalidGGUF, InvalidName, InvalidRequest, ModelfileError
from ollama_engine.modelfile.compile import (
    CreatePlan,
    create_from_plan,
    plan_create,
    send_files,
)
from ollama_engine.modelfile.layers import create_model
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_engine.store import Store, open_model
from ollama_engine.types import CreateRequest, Message, Progress
from tests.engine.modelfile.gguf_parts import adapter, projector, weights
from tests.support.gguf_split import split_gguf


class StoreSink:
    """The blob verbs of an engine, over a real store."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.received: list[str] = []

    async def has_blob(self, digest: str) -> bool:
        return await asyncio.to_thread(self.store.blobs.exists, digest)

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        self.received.append(digest)
        return (await self.store.blobs.write_stream(digest, data)).new

    async def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        for progress in create_model(self.store, request):
            yield progress


def plan(text: str, folder: Path) -> CreatePlan:
    return plan_create(parse_modelfile(text), folder)


def digest_of(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_a_from_that_is_no_file_is_the_name_of_a_model(tmp_path: Path) -> None:
    made = plan(
        "FROM llama3.2\nSYSTEM first\nSYSTEM second\nTEMPLATE {{ .Prompt }}\nRENDERER r\nPARSER p\nREQUIRES v0.14.0\n"
        "PARAMETER temperature 0.7\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER low_vram true\n"
        "LICENSE one\nLICENSE two\nMESSAGE user hi\nMESSAGE assistant hello\n",
        tmp_path,
    )
    request = made.request
    assert (request.from_, made.files, made.adapters) == ("llama3.2", {}, {})
    assert (request.system, request.template, request.license) == ("second", "{{ .Prompt }}", ["one", "two"])
    assert (request.renderer, request.parser, request.requires) == ("r", "p", "v0.14.0")
    assert request.parameters == {"temperature": 0.7, "stop": ["a", "b"]}
    assert request.messages == [Message("user", "hi"), Message("assistant", "hello")]
    assert made.warnings == ("warning: parameter low_vram is deprecated",)


@pytest.mark.parametrize("written", ["./model.gguf", "model.gguf", "{folder}/model.gguf", "~/model.gguf", "."])
def test_a_path_is_looked_for_beside_the_modelfile_at_home_or_where_it_says(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = weights(tmp_path / "model.gguf")
    made = plan(f"FROM {written.format(folder=tmp_path)}", tmp_path)
    assert made.request.from_ == ""
    assert [(name, file.resolve()) for name, file in made.files.items()] == [("model.gguf", path.resolve())]


def test_names_are_relative_to_the_folder_that_holds_all_files(tmp_path: Path) -> None:
    for folder in ("weights", "extra/deep"):
        (tmp_path / folder).mkdir(parents=True)
    weights(tmp_path / "weights" / "m.gguf")
    projector(tmp_path / "extra" / "deep" / "p.gguf")
    adapter(tmp_path / "extra" / "a.gguf")
    made = plan("FROM weights/m.gguf\nFROM ./weights/../extra/deep/p.gguf\nADAPTER extra/a.gguf", tmp_path)
    assert list(made.files) == ["weights/m.gguf", "extra/deep/p.gguf"]
    assert list(made.adapters) == ["extra/a.gguf"]


def test_one_shard_stands_for_all_and_a_missing_one_is_named(tmp_path: Path) -> None:
    shards = split_gguf(weights(tmp_path / "m.gguf", tensors=3), 3)
    made = plan(f"FROM ./{shards[1].name}", tmp_path)
    assert list(made.files) == [shard.name for shard in shards]
    shards[2].unlink()
    with pytest.raises(InvalidGGUF, match=r"m-00003-of-00003\.gguf"):
        plan(f"FROM ./{shards[0].name}", tmp_path)


def test_a_folder_stands_for_its_gguf_files(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    weights(tmp_path / "model" / "m.gguf")
    projector(tmp_path / "model" / "mmproj.gguf")
    assert list(plan("FROM model", tmp_path).files) == ["m.gguf", "mmproj.gguf"]


def test_a_folder_that_only_happens_to_be_called_like_the_model_is_none(tmp_path: Path) -> None:
    (tmp_path / "bard").mkdir()
    assert plan("FROM bard", tmp_path).request.from_ == "bard"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM ./absent.gguf", "(line 1): no such file: {folder}/absent.gguf"),
        ("FROM absent.GGUF", "(line 1): no such file: {folder}/absent.GGUF"),
        ("FROM x\n\nADAPTER lora", "(line 3): no such file: {folder}/lora"),
        ("FROM ./empty", "(line 1): no GGUF files found in {folder}/empty"),
        ("FROM ./tensors", "(line 1): {folder}/tensors holds a safetensors or PyTorch model, not GGUF"),
        ("FROM tensors/model.safetensors", "model.safetensors is not in GGUF format"),
        ("FROM ./linked", "(line 1): insecure path: {folder}/linked/m.gguf leads out of its folder"),
        ("FROM two", "these are files of more than one model: a.gguf, b.gguf"),
        ('FROM ""', "(line 1): FROM is empty"),
        ("FROM x\nADAPTER two/a.gguf", "(line 2): two/a.gguf is not one adapter (LoRA) in GGUF format"),
        ("FROM two/a.gguf\nDRAFT ./two/a.gguf", "(line 2): DRAFT and FROM are the same file"),
        ("FROM x\nPARAMETER temprature 1", "(line 2): unknown parameter 'temprature'"),
        ("FROM x\nPARAMETER num_ctx 4k", "(line 2): invalid int value [4k]"),
        ("FROM x\nREQUIRES soon", "requires must be a valid semver (e.g. 0.14.0)"),
    ],
)
def test_what_does_not_compile_is_named_with_a_way_out(text: str, message: str, tmp_path: Path) -> None:
    for folder in ("empty", "tensors", "linked", "two"):
        (tmp_path / folder).mkdir()
    (tmp_path / "tensors" / "model.safetensors").write_bytes(b"\0" * 16)
    weights(tmp_path / "two" / "a.gguf")
    weights(tmp_path / "two" / "b.gguf", fill=1.0)
    (tmp_path / "linked" / "m.gguf").symlink_to(tmp_path / "two" / "a.gguf")
    with pytest.raises(InvalidRequest) as caught:
        plan(text, tmp_path)
    assert caught.value.message == message.format(folder=tmp_path)
    assert caught.value.hint


def test_a_file_that_is_no_gguf_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "notes.gguf").write_text("shopping list")
    with pytest.raises(InvalidGGUF, match=r"^supplied file was not in GGUF format: notes\.gguf"):
        plan("FROM notes.gguf", tmp_path)


def test_a_from_that_is_neither_file_nor_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        plan("FROM what is this", tmp_path)


def test_a_line_number_comes_with_the_error_of_a_parameter(tmp_path: Path) -> None:
    with pytest.raises(ModelfileError) as caught:
        plan("FROM x\n\nPARAMETER temprature 1", tmp_path)
    assert (caught.value.line, caught.value.hint) == (3, "Did you mean temperature?")


async def sent(made: CreatePlan, sink: StoreSink) -> CreateRequest:
    """The request that an engine gets to see, its files sent before."""
    seen: list[CreateRequest] = []

    async def create(request: CreateRequest) -> AsyncGenerator[Progress, None]:
        seen.append(request)
        yield Progress(status="success")

    sink.create = create
    async for _ in create_from_plan(sink, made, "mine"):
        pass
    return seen[0]


async def test_what_is_no_name_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    weights(tmp_path / "m.gguf")
    sink = StoreSink(tmp_path / "store")
    with pytest.raises(InvalidName):
        await anext(create_from_plan(sink, plan("FROM m.gguf", tmp_path), "../x"))
    assert sink.received == []


async def test_files_are_sent_under_their_digests_and_those_that_are_there_are_not(tmp_path: Path) -> None:
    model, lora = weights(tmp_path / "m.gguf"), adapter(tmp_path / "a.gguf")
    made = plan("FROM m.gguf\nADAPTER a.gguf\nSYSTEM hi", tmp_path)
    sink = StoreSink(tmp_path / "store")
    request = await sent(made, sink)
    assert (request.model, request.system) == ("mine", "hi")
    assert request.files == {"m.gguf": digest_of(model)}
    assert request.adapters == {"a.gguf": digest_of(lora)}
    assert sink.store.blobs.read(digest_of(model)) == model.read_bytes()
    await sent(made, sink)
    assert sink.received == [digest_of(model), digest_of(lora)]


async def test_progress_tells_what_is_hashed_and_what_is_sent(tmp_path: Path) -> None:
    path = weights(tmp_path / "m.gguf")
    size = path.stat().st_size
    seen = [p async for p in send_files(plan("FROM m.gguf", tmp_path), StoreSink(tmp_path / "store"), {})]
    done = [p.status for p in seen if p.completed == size]
    assert list(dict.fromkeys(done)) == ["hashing m.gguf", f"copying file {digest_of(path)}"]
    assert all(p.total == size for p in seen)


async def test_one_stream_goes_from_a_modelfile_to_a_model(tmp_path: Path) -> None:
    path = weights(tmp_path / "m.gguf")
    engine = StoreSink(tmp_path / "store")
    made = plan("FROM m.gguf\nSYSTEM hi\nPARAMETER top_k 3", tmp_path)
    statuses = [progress.status async for progress in create_from_plan(engine, made, "mine")]
    assert (statuses[0], statuses[-1]) == ("hashing m.gguf", "success")
    model = open_model(engine.store, "mine")
    assert (model.system, model.parameters) == ("hi", {"top_k": 3})
    assert model.model_paths[0].read_bytes() == path.read_bytes()


async def test_a_file_that_changes_while_it_is_sent_makes_no_blob(tmp_path: Path) -> None:
    path = weights(tmp_path / "m.gguf")

    class Late(StoreSink):
        async def has_blob(self, digest: str) -> bool:
            weights(path, fill=1.0)
            return await super().has_blob(digest)

    sink = Late(tmp_path / "store")
    with pytest.raises(DigestMismatch):
        await sent(plan("FROM m.gguf", tmp_path), sink)
    assert list((tmp_path / "store" / "blobs").iterdir()) == []


async def test_closing_the_progress_ends_the_upload_before_it_returns(tmp_path: Path) -> None:
    weights(tmp_path / "m.gguf")

    class Stuck(StoreSink):
        ended = False

        async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
            try:
                async for _ in data:
                    pass
                await asyncio.Event().wait()
                raise AssertionError
            finally:
                self.ended = True

    sink = Stuck(tmp_path / "store")
    progress = send_files(plan("FROM m.gguf", tmp_path), sink, {})
    async for step in progress:
        if step.status.startswith("copying"):
            break
    await progress.aclose()
    assert sink.ended


def test_adapters_are_sent_in_the_order_of_their_lines_and_a_draft_beside_them(tmp_path: Path) -> None:
    for name in ("b", "a"):
        adapter(tmp_path / f"{name}.gguf")
    weights(tmp_path / "small.gguf")
    made = plan(
        "FROM x\nADAPTER b.gguf\nADAPTER a.gguf\nDRAFT small.gguf\n"
        "PARAMETER adapter_scale 0.5\nPARAMETER adapter_scale 2",
        tmp_path,
    )
    assert (list(made.adapters), list(made.draft)) == (["b.gguf", "a.gguf"], ["small.gguf"])
    assert made.request.parameters == {"adapter_scale": [0.5, 2.0]}
    assert made.warnings == ("DRAFT is stored with the model, but answers are not drafted with it yet",)
    with pytest.raises(ModelfileError, match=r"\(line 3\): the adapter \./b\.gguf is named twice"):
        plan("FROM x\nADAPTER b.gguf\nADAPTER ./b.gguf", tmp_path)
