from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import (
    InvalidDigest,
    InvalidGGUF,
    InvalidName,
    InvalidRequest,
    ModelNotFound,
    TemplateError,
)
from ollama_engine.modelfile.layers import create_model
from ollama_engine.store import Model, Store, open_model
from ollama_engine.types import CreateRequest, Message
from tests.engine.modelfile.gguf_parts import adapter, projector, weights
from tests.support.gguf_split import split_gguf

MISSING = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, path: Path) -> str:
    return str(store.blobs.add_file(path).digest)


def create(store: Store, model: str, **fields: Any) -> list[str]:
    return [progress.status for progress in create_model(store, CreateRequest(model=model, **fields))]


@pytest.fixture
def base(store: Store, tmp_path: Path) -> Model:
    """A model `base` with something of everything that can be inherited."""
    create(
        store,
        "base",
        files={"m.gguf": put(store, weights(tmp_path / "m.gguf"))},
        template="{{ .System }} {{ .Prompt }}",
        system="Be brief.",
        parameters={"temperature": 0.5, "stop": ["a"], "top_k": None},
        messages=[Message("user", "hi"), Message("assistant", "yes?")],
        license="MIT",
        renderer="r",
        parser="p",
        requires="0.14.0",
    )
    return open_model(store, "base")


def test_a_gguf_file_becomes_a_model_byte_for_byte(store: Store, tmp_path: Path) -> None:
    path = weights(tmp_path / "m.gguf", tensors=2)
    digest = put(store, path)
    statuses = create(store, "mine", files={"sub/m.gguf": digest}, system="Be brief.")
    system = f"sha256:{hashlib.sha256(b'Be brief.').hexdigest()}"
    assert statuses == [
        "parsing GGUF",
        f"using existing layer {digest}",
        f"creating new layer {system}",
        "writing manifest",
        "success",
    ]
    model = open_model(store, "mine")
    assert model.model_paths[0].read_bytes() == path.read_bytes()
    assert (model.system, model.template, model.parent) == ("Be brief.", None, "m.gguf")
    config = model.config
    assert (config.model_format, config.model_family, config.model_families) == ("gguf", "llama", ["llama"])
    assert (config.model_type, config.file_type) == ("128", "F32")
    assert (config.context_length, config.embedding_length) == (128, 8)
    assert config.capabilities == ["completion"]


def test_layers_have_the_form_that_ollama_reads(base: Model, store: Store) -> None:
    raw = {
        layer.media_type.rpartition(".")[2]: store.blobs.read(layer.digest)
        for layer in base.manifest.layers
        if not layer.media_type.endswith("model")
    }
    assert json.loads(raw["params"]) == {"stop": ["a"], "temperature": 0.5}
    assert json.loads(raw["messages"]) == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
    ]
    assert (raw["template"], raw["system"], raw["license"]) == (b"{{ .System }} {{ .Prompt }}", b"Be brief.", b"MIT")


def test_what_is_not_said_is_inherited(base: Model, store: Store) -> None:
    statuses = create(store, "child", from_="base")
    assert [s for s in statuses if s.startswith("creating")] == []
    child = open_model(store, "child")
    assert (child.template, child.system, child.parameters) == (base.template, base.system, base.parameters)
    assert (child.messages, child.licenses, child.model_paths) == (base.messages, base.licenses, base.model_paths)
    assert (child.config.renderer, child.config.parser, child.config.requires) == ("r", "p", "0.14.0")
    assert child.config == base.config
    assert child.parent == "base:latest"


def test_what_is_said_replaces_licences_add_up_and_parameters_merge(base: Model, store: Store) -> None:
    create(
        store,
        "child",
        from_="BASE:latest",
        template="{{ .Prompt }}",
        system="Be long.",
        parameters={"top_k": 3, "stop": "b"},
        messages=[Message("user", "new")],
        license=["MIT", "Apache"],
        parser="q",
    )
    child = open_model(store, "child")
    assert (child.template, child.system) == ("{{ .Prompt }}", "Be long.")
    assert child.parameters == {"temperature": 0.5, "top_k": 3, "stop": ["b"]}
    assert child.messages == [Message("user", "new")]
    assert child.licenses == ["MIT", "Apache"]
    assert (child.config.renderer, child.config.parser) == ("r", "q")
    create(store, "grandchild", from_="child", renderer="s", requires="v0.15.0", messages=[])
    grandchild = open_model(store, "grandchild")
    assert grandchild.messages == child.messages
    assert (grandchild.config.renderer, grandchild.config.parser) == ("s", "q")
    assert grandchild.config.requires.removeprefix("v") == "0.15.0"


def test_a_model_can_be_made_from_itself(base: Model, store: Store) -> None:
    create(store, "base", from_="base", system="Be long.")
    again = open_model(store, "base")
    assert (again.system, again.template, again.licenses) == ("Be long.", base.template, ["MIT"])


def test_shards_stay_shards_in_their_order(store: Store, tmp_path: Path) -> None:
    shards = split_gguf(weights(tmp_path / "m.gguf", tensors=3), 3)
    files = {shard.name: put(store, shard) for shard in reversed(shards)}
    create(store, "mine", files=files)
    model = open_model(store, "mine")
    assert [path.read_bytes() for path in model.model_paths] == [shard.read_bytes() for shard in shards]
    assert model.config.model_type == "192"


def test_a_projector_and_an_adapter_become_layers_of_their_own(store: Store, tmp_path: Path) -> None:
    files = {
        "mmproj.gguf": put(store, projector(tmp_path / "mmproj.gguf")),
        "m.gguf": put(store, weights(tmp_path / "m.gguf")),
    }
    create(store, "eyes", files=files, adapters={"a.gguf": put(store, adapter(tmp_path / "a.gguf"))})
    model = open_model(store, "eyes")
    assert [len(p) for p in (model.model_paths, model.projector_paths, model.adapter_paths)] == [1, 1, 1]
    assert model.config.model_families == ["llama", "clip"]
    assert model.config.capabilities == ["completion", "vision"]


def test_a_projector_can_be_added_to_a_model(base: Model, store: Store, tmp_path: Path) -> None:
    create(store, "ears", from_="base", files={"p.gguf": put(store, projector(tmp_path / "p.gguf", audio=True))})
    model = open_model(store, "ears")
    assert model.model_paths == base.model_paths
    assert len(model.projector_paths) == 1
    assert model.config.capabilities == ["completion", "audio"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "../new", "files": {"m.gguf": MISSING}},
        {"files": {"../m.gguf": MISSING}},
        {"files": {"m.gguf": ""}},
        {"adapters": {"/a.gguf": MISSING}},
        {"files": {"m.gguf": MISSING}, "template": "{{ .Prompt"},
    ],
)
def test_what_is_wrong_with_a_request_is_told_before_the_first_step(fields: dict[str, Any], store: Store) -> None:
    asked: dict[str, Any] = {"model": "new", **fields}
    with pytest.raises(InvalidRequest):
        next(create_model(store, CreateRequest(**asked)))


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"model": "a b", "from_": "base"}, InvalidName, "invalid model name"),
        ({}, InvalidRequest, "neither 'from' or 'files' was specified"),
        ({"files": {}}, InvalidRequest, "no files provided to convert"),
        ({"from_": "absent"}, ModelNotFound, "model 'absent' not found"),
        ({"files": {"../m.gguf": MISSING}}, InvalidRequest, "file path must be relative"),
        ({"files": {"/m.gguf": MISSING}}, InvalidRequest, "file path must be relative"),
        ({"files": {"m.gguf": ""}}, InvalidDigest, "invalid digest format"),
        ({"files": {"m.gguf": "sha256:../../x"}}, InvalidDigest, "invalid digest format"),
        (
            {"files": {"m.gguf": MISSING}},
            InvalidRequest,
            f"file m.gguf is not on the server: there is no blob {MISSING}",
        ),
        ({"files": {"m.safetensors": "junk"}}, InvalidRequest, "m.safetensors is not in GGUF format"),
        ({"files": {"m.gguf": "junk"}}, InvalidGGUF, "supplied file was not in GGUF format: m.gguf"),
        ({"files": {"m.gguf": "cut"}}, InvalidGGUF, "m.gguf: "),
        ({"files": {"m.gguf": "model", "n.gguf": "other"}}, InvalidRequest, "these are files of more than one model"),
        ({"files": {"s.gguf": "shard"}}, InvalidGGUF, "s.gguf is shard 1 of 2, not 1 of 1"),
        ({"files": {"p.gguf": "projector"}}, InvalidRequest, "no model among the files: p.gguf"),
        (
            {"from_": "base", "files": {"m.gguf": "model"}},
            InvalidRequest,
            "both the model 'base' and the weights m.gguf",
        ),
        (
            {"from_": "base", "adapters": {"m.gguf": "model"}},
            InvalidRequest,
            "m.gguf is not an adapter (LoRA) but a model",
        ),
        (
            {"from_": "base", "adapters": {"a.gguf": "foreign"}},
            InvalidRequest,
            "the adapter a.gguf is for gemma models",
        ),
        (
            {"from_": "base", "adapters": {"a": "adapter"}, "parameters": {"adapter_scale": [1, 2]}},
            InvalidRequest,
            "2 adapter_scale for 1 adapters",
        ),
        (
            {"from_": "base", "adapters": {"w.gguf": "wide"}},
            InvalidRequest,
            "the adapter w.gguf does not fit the model",
        ),
        ({"from_": "base", "draft_files": {"a.gguf": "adapter"}}, InvalidRequest, "the draft a.gguf is no model but"),
        ({"from_": "base", "draft_quantize": "Q8_0"}, InvalidRequest, "--draft-quantize requires a DRAFT model"),
        ({"from_": "base", "preset": "chatlm"}, InvalidRequest, "there is no template named 'chatlm'"),
        ({"from_": "base", "quantize": "iq2_xs"}, InvalidRequest, "quantization type IQ2_XS needs"),
        ({"from_": "base", "quantize": "IQ1_S"}, InvalidRequest, "quantization type IQ1_S needs an importance matrix"),
        ({"from_": "base", "template": "{{ .Prompt"}, TemplateError, "template error: "),
        ({"from_": "base", "requires": "soon"}, InvalidRequest, "requires must be a valid semver (e.g. 0.14.0)"),
        ({"from_": "base", "parameters": {"top_k": "x"}}, InvalidRequest, 'option "top_k" must be of type integer'),
        ({"from_": "base", "quantize": "Q3"}, InvalidRequest, "unsupported quantization type Q3 - supported types are"),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_by_name_and_leaves_no_model(
    fields: dict[str, Any],
    kind: type[InvalidRequest],
    message: str,
    base: Model,
    store: Store,
    tmp_path: Path,
) -> None:
    whole = weights(tmp_path / "m.gguf")
    (tmp_path / "junk").write_text("shopping list")
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-8])
    known = {
        "model": put(store, whole),
        "other": put(store, weights(tmp_path / "other.gguf", fill=1.0)),
        "junk": put(store, tmp_path / "junk"),
        "cut": put(store, tmp_path / "cut"),
        "shard": put(store, split_gguf(weights(tmp_path / "two.gguf", tensors=2), 2)[0]),
        "projector": put(store, projector(tmp_path / "p.gguf")),
        "adapter": put(store, adapter(tmp_path / "a.gguf")),
        "foreign": put(store, adapter(tmp_path / "f.gguf", architecture="gemma")),
        "wide": put(store, adapter(tmp_path / "w.gguf", width=16)),
    }
    for field in ("files", "adapters", "draft_files"):
        if field in fields:
            fields = fields | {field: {name: known.get(digest, digest) for name, digest in fields[field].items()}}
    with pytest.raises(kind) as caught:
        create(store, **({"model": "new"} | fields))
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert [entry.name.display for entry in store.list()] == ["base:latest"]


def test_adapters_keep_their_order_and_scales_go_with_the_adapters_they_were_for(
    base: Model, store: Store, tmp_path: Path
) -> None:
    files = {name: put(store, adapter(tmp_path / name, fill=n)) for n, name in enumerate(("b.gguf", "a.gguf"), 1)}
    create(store, "two", from_="base", adapters=files, parameters={"adapter_scale": [0.5, 2]})
    two = open_model(store, "two")
    assert [f"sha256:{path.name.removeprefix('sha256-')}" for path in two.adapter_paths] == list(files.values())
    assert two.parameters["adapter_scale"] == [0.5, 2]
    create(store, "child", from_="two", system="Be long.")
    assert open_model(store, "child").parameters["adapter_scale"] == [0.5, 2]
    create(store, "other", from_="two", adapters={"a.gguf": files["a.gguf"]})
    assert "adapter_scale" not in open_model(store, "other").parameters


def test_a_draft_becomes_a_layer_and_is_inherited(base: Model, store: Store, tmp_path: Path) -> None:
    draft = put(store, weights(tmp_path / "d.gguf", fill=2.0))
    create(store, "fast", from_="base", draft_files={"d.gguf": draft})
    fast = open_model(store, "fast")
    assert [path.name for path in fast.draft_paths] == [draft.replace(":", "-")]
    assert fast.config.draft == {"model_format": "gguf", "architecture": "llama"}
    create(store, "child", from_="fast")
    child = open_model(store, "child")
    assert (child.draft_paths, child.config.draft) == (fast.draft_paths, fast.config.draft)


def test_a_create_that_is_given_up_leaves_no_model(base: Model, store: Store) -> None:
    steps = create_model(store, CreateRequest(model="child", from_="base", system="new"))
    while next(steps).status != "writing manifest":
        pass
    steps.close()
    assert [name.display for name in store.names()] == ["base:latest"]
