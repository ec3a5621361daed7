"""Opening a model gives its texts, parameters and the files to load."""

from __future__ import annotations

import pytest

from ollama_engine.errors import ModelNotFound, StoreError
from ollama_engine.store import Config, Layer, Manifest, Model, Store, open_model
from ollama_engine.store import manifest as media
from ollama_engine.store.digests import of_bytes
from ollama_engine.types import Message


def opened(store: Store, *layers: tuple[str, bytes], parent: str = "") -> Model:
    rows = [store.add_layer(kind, data) for kind, data in layers]
    if parent:
        rows[0] = Layer(media_type=rows[0].media_type, digest=rows[0].digest, size=rows[0].size, from_=parent)
    config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_family="llama", file_type="Q8_0")))
    store.put_manifest("poet", Manifest(config=config, layers=rows))
    return open_model(store, "POET")


def test_a_model_is_opened_with_all_its_layers(store: Store) -> None:
    model = opened(
        store,
        (media.MODEL, b"shard one"),
        (media.MODEL, b"shard two"),
        (media.PROJECTOR, b"eyes"),
        (media.ADAPTER, b"lora"),
        (media.DRAFT, b"draft"),
        (media.TEMPLATE, b"{{ .Prompt }}"),
        (media.SYSTEM, "Sois poète.".encode()),
        (media.PARAMS, b'{"stop":["a","b"],"temperature":0.8}'),
        (media.MESSAGES, b'[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hail"}]'),
        (media.LICENSE, b"one"),
        (media.LICENSE, b"two"),
        (media.EMBED, b"ignored"),
        ("application/x.future", b"ignored"),
        parent="base:latest",
    )
    assert [path.read_bytes() for path in model.model_paths] == [b"shard one", b"shard two"]
    assert [path.read_bytes() for path in model.projector_paths] == [b"eyes"]
    assert [path.read_bytes() for path in model.adapter_paths] == [b"lora"]
    assert [path.read_bytes() for path in model.draft_paths] == [b"draft"]
    assert (model.template, model.system, model.licenses) == ("{{ .Prompt }}", "Sois poète.", ["one", "two"])
    assert model.parameters == {"stop": ["a", "b"], "temperature": 0.8}
    assert model.messages == [Message(role="user", content="Hi"), Message(role="assistant", content="Hail")]
    assert (model.config.model_family, model.config.file_type) == ("llama", "Q8_0")
    assert (model.name.display, model.parent) == ("poet:latest", "base:latest")
    entry = store.resolve("poet")
    assert (model.digest, model.size, model.modified_at) == (entry.digest, entry.size, entry.modified_at)


def test_a_bare_model_has_neither_texts_nor_parameters(store: Store) -> None:
    model = opened(store, (media.MODEL, b"w"))
    assert (model.template, model.system) == (None, None)
    assert (model.parameters, model.messages, model.licenses) == ({}, [], [])


def test_an_old_prompt_layer_is_the_template(store: Store) -> None:
    assert opened(store, (media.PROMPT, b"{{ .Prompt }}")).template == "{{ .Prompt }}"


def test_of_two_templates_the_last_counts_and_parameters_are_merged(store: Store) -> None:
    model = opened(
        store,
        (media.TEMPLATE, b"first"),
        (media.TEMPLATE, b"last"),
        (media.PARAMS, b'{"seed":1,"top_k":2}'),
        (media.PARAMS, b'{"top_k":3}'),
        (media.MESSAGES, b"null"),
    )
    assert model.template == "last"
    assert model.parameters == {"seed": 1, "top_k": 3}
    assert model.messages == []


@pytest.mark.parametrize(
    ("kind", "data", "fault"),
    [
        (media.PARAMS, b"[1]", "params layer of model 'poet:latest' is broken"),
        (media.PARAMS, b"{", "params layer"),
        (media.MESSAGES, b'[{"role":1}]', "messages layer"),
        (media.MESSAGES, b"\xff", "messages layer"),
    ],
)
def test_a_broken_layer_is_an_error_that_names_layer_and_model(
    store: Store, kind: str, data: bytes, fault: str
) -> None:
    with pytest.raises(StoreError, match=fault):
        opened(store, (kind, data))


@pytest.mark.parametrize("kind", [media.MODEL, media.PROJECTOR, media.SYSTEM, media.CONFIG_TYPE])
def test_a_missing_blob_is_an_error_that_says_how_to_get_it_back(store: Store, kind: str) -> None:
    layers = [(each, each.encode()) for each in (media.MODEL, media.PROJECTOR, media.SYSTEM)]
    manifest = opened(store, *layers).manifest
    (missing,) = [layer for layer in manifest.blobs() if layer.media_type == kind]
    store.blobs.path(missing.digest).unlink()
    with pytest.raises(StoreError, match=f"{missing.digest} of model 'poet:latest' is missing") as caught:
        open_model(store, "poet")
    assert "Pull or create poet:latest again" in caught.value.hint


def test_a_text_layer_too_large_for_memory_is_refused(store: Store) -> None:
    opened(store, (media.SYSTEM, b"x"))
    with open(store.blobs.path(of_bytes(b"x")), "r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="larger than"):
        open_model(store, "poet")


def test_a_text_that_is_not_utf8_is_read_as_far_as_it_is(store: Store) -> None:
    assert opened(store, (media.SYSTEM, b"a\xffb")).system == "a\ufffdb"


def test_opening_a_missing_model_says_which(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="model 'nobody' not found"):
        open_model(store, "nobody")
