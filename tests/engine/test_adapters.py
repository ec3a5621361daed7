"""LoRA adapters from the Modelfile to the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from gguf import GGMLQuantizationType

from ollama_engine.errors import InvalidRequest
from ollama_engine.local import LocalEngine
from ollama_engine.modelfile.compile import create_from_plan, plan_create
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_engine.settings import Settings
from ollama_engine.store import Layer, Store, open_model
from ollama_engine.store import manifest as media
from ollama_engine.types import GenerateRequest
from tests.engine.contract.conftest import import_gguf
from tests.support.gguf_models import TINY, random_model
from tests.support.lora import merged, random_adapter, write_adapter

TWO = "FROM base\nADAPTER one.gguf\nADAPTER two.gguf\nPARAMETER adapter_scale 0.5\nPARAMETER adapter_scale -1.5"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models", max_loaded_models=8)) as engine:
        yield engine


@pytest.fixture
async def folder(tmp_path: Path, engine: LocalEngine) -> Path:
    """Has base.gguf, which is the model `base` as well, and two adapters for it."""
    base = random_model(tmp_path / "base.gguf", **TINY, template=None, weights=GGMLQuantizationType.F32)
    random_adapter(tmp_path / "one.gguf", base, seed=1)
    random_adapter(tmp_path / "two.gguf", base, seed=2, tensors=("ffn_gate", "ffn_up", "ffn_down"))
    await import_gguf(engine, "base", base)
    return tmp_path


async def create(engine: LocalEngine, name: str, modelfile: str, folder: Path) -> None:
    async for _ in create_from_plan(engine, plan_create(parse_modelfile(modelfile), folder), name):
        pass


async def said(engine: LocalEngine, model: str, **options: object) -> str:
    options = {"temperature": 0, "num_predict": 16, **options}
    request = GenerateRequest(model, "What does it change?", raw=True, options=options)
    return "".join([chunk.response async for chunk in engine.generate(request)])


async def test_a_modelfile_names_several_adapters_each_with_its_scale(engine: LocalEngine, folder: Path) -> None:
    one, two = folder / "one.gguf", folder / "two.gguf"
    await create(engine, "two", TWO, folder)
    await import_gguf(engine, "merged", merged(folder / "m.gguf", folder / "base.gguf", {one: 0.5, two: -1.5}))
    assert await said(engine, "two") == await said(engine, "merged") != await said(engine, "base")


async def test_a_request_can_weigh_them_otherwise_and_all_that_is_loaded_goes_with_the_model(
    engine: LocalEngine, folder: Path
) -> None:
    await create(engine, "two", TWO, folder)
    plain, adapted = await said(engine, "base"), await said(engine, "two")
    assert await said(engine, "two", adapter_scale=[0, 0]) == plain != adapted
    # One number is the first adapter's; the other has its 1.
    only = merged(folder / "m.gguf", folder / "base.gguf", {folder / "two.gguf": 1.0})
    await import_gguf(engine, "merged", only)
    assert await said(engine, "two", adapter_scale=0) == await said(engine, "merged")
    assert await said(engine, "two") == adapted
    assert [model.name for model in await engine.running()].count("two:latest") == 3
    await engine.unload("two")
    assert "two:latest" not in [model.name for model in await engine.running()]
    with pytest.raises(InvalidRequest, match="3 adapter_scale for 2 adapters"):
        await said(engine, "two", adapter_scale=[1, 1, 1])
    with pytest.raises(InvalidRequest, match="1 adapter_scale for 0 adapters"):
        await said(engine, "base", adapter_scale=0.5)


async def test_show_gives_the_modelfile_that_makes_the_same_model_again(engine: LocalEngine, folder: Path) -> None:
    await create(engine, "two", TWO, folder)
    shown = await engine.show("two")
    scales = [line.split()[1] for line in shown.parameters.splitlines() if line.startswith("adapter_scale ")]
    assert scales == ["0.5", "-1.5"]
    await create(engine, "again", shown.modelfile, folder)
    store = Store(folder / "models")
    two, again = open_model(store, "two"), open_model(store, "again")
    assert (again.model_paths, again.adapter_paths) == (two.model_paths, two.adapter_paths)
    assert again.parameters == two.parameters
    assert two.parameters["adapter_scale"] == [0.5, -1.5]
    assert (await engine.show("again")).modelfile.splitlines()[4:] == shown.modelfile.splitlines()[4:]


async def test_an_adapter_of_another_model_is_refused_at_create_and_before_a_load(
    engine: LocalEngine, folder: Path
) -> None:
    foreign = write_adapter(folder / "foreign.gguf", {}, "gemma")
    with pytest.raises(InvalidRequest, match=r"the adapter foreign\.gguf is for gemma models, the model is of llama"):
        await create(engine, "bad", "FROM base\nADAPTER foreign.gguf", folder)
    store = Store(folder / "models")
    blob = store.blobs.add_file(foreign)
    base = open_model(store, "base")
    layer = Layer(media_type=media.ADAPTER, digest=str(blob.digest), size=blob.size)
    with store.creating() as creation:  # as a pull would bring it
        pulled = msgspec.structs.replace(base.manifest, layers=[*base.manifest.layers, layer])
        store.put_manifest(msgspec.structs.replace(base.name, model="pulled"), pulled, creation)
    with pytest.raises(InvalidRequest, match=r"is for gemma models, the model is of llama"):
        await said(engine, "pulled")
    assert await engine.running() == []


async def test_the_same_adapter_twice_is_refused(engine: LocalEngine, folder: Path) -> None:
    (folder / "copy.gguf").write_bytes((folder / "one.gguf").read_bytes())
    with pytest.raises(InvalidRequest, match="an adapter is named twice"):
        await create(engine, "bad", "FROM base\nADAPTER one.gguf\nADAPTER copy.gguf", folder)
