"""Which template speaks where a model has a TEMPLATE layer and the GGUF a chat template (spec §8.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ollama_engine.catalog import Catalog
from ollama_engine.modelfile.layers import create_model
from ollama_engine.prompt.presets import PRESETS
from ollama_engine.prompt.render import GoChat, JinjaChat, select_template
from ollama_engine.store import Store, open_model
from ollama_engine.store import manifest as media
from ollama_engine.store.manifest import Manifest
from ollama_engine.types import CreateRequest
from tests.support.gguf_models import CHATML, scripted_model

PLAIN_GO = "{{ .System }} {{ .Prompt }}"
TOOLS_GO = (
    "{{ .Tools }}{{ range .Messages }}{{ .Role }}: {{ .Content }}"
    "{{ range .ToolCalls }}{{ .Function.Name }}{{ .Function.Arguments }}{{ end }}{{ end }}"
)
CALLS_ONLY_GO = "{{ .Tools }}{{ range .Messages }}{{ if eq .Role `user` }}{{ .Content }}{{ end }}{{ end }}"
PLAIN_JINJA = "{% for m in messages %}{{ m.content }}{% endfor %}"
TOOLS_JINJA = "{{ tools }}{% for m in messages %}{{ m.content }}{{ m.tool_calls }}{% endfor %}"
BROKEN_JINJA = "{% if tools %}"


@pytest.mark.parametrize(
    ("go", "jinja", "prefer", "speaks"),
    [
        (PLAIN_GO, PLAIN_JINJA, None, GoChat),
        (PLAIN_GO, TOOLS_JINJA, None, JinjaChat),
        (TOOLS_GO, TOOLS_JINJA, None, GoChat),
        (TOOLS_GO, PLAIN_JINJA, None, GoChat),
        (CALLS_ONLY_GO, TOOLS_JINJA, None, JinjaChat),
        (PLAIN_GO, BROKEN_JINJA, None, GoChat),
        (PLAIN_GO, TOOLS_JINJA, True, GoChat),
        (TOOLS_GO, PLAIN_JINJA, False, JinjaChat),
        (TOOLS_GO, "", False, GoChat),
        ("", PLAIN_JINJA, True, JinjaChat),
        ("", "", None, GoChat),
    ],
)
def test_the_abler_template_speaks_unless_one_is_preferred(
    go: str, jinja: str, prefer: bool | None, speaks: type
) -> None:
    assert isinstance(select_template(go, jinja, prefer_go=prefer), speaks)


def test_a_template_that_was_written_speaks_and_one_that_was_pulled_must_be_the_abler(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "m.gguf", "hello", template=TOOLS_JINJA)).digest)
    for _ in create_model(store, CreateRequest("written", files={"m.gguf": digest}, template=PLAIN_GO)):
        pass
    for _ in create_model(store, CreateRequest("child", from_="written", system="Be brief.")):
        pass
    for _ in create_model(store, CreateRequest("pulled", files={"m.gguf": digest})):
        pass
    pulled = open_model(store, "pulled").manifest
    layer = store.add_layer(media.TEMPLATE, PLAIN_GO.encode())
    store.put_manifest("pulled", Manifest(config=pulled.config, layers=[*pulled.layers, layer]))

    shown = {name: Catalog(store).show(name) for name in ("written", "child", "pulled")}
    assert {name: info.template_engine for name, info in shown.items()} == {
        "written": "go",
        "child": "go",
        "pulled": "jinja",
    }
    assert (shown["written"].template, shown["pulled"].template) == (PLAIN_GO, TOOLS_JINJA)
    forced = Catalog(store, go_template=True), Catalog(store, go_template=False)
    assert [catalog.show("pulled").template_engine for catalog in forced] == ["go", "jinja"]
    assert forced[1].show("written").template_engine == "jinja"


def test_where_a_renderer_is_named_the_template_of_the_weights_speaks(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "m.gguf", "hello", template=PLAIN_JINJA)).digest)
    layer = store.add_layer(media.TEMPLATE, TOOLS_GO.encode())
    for name, renderer in (("named", "gemma4"), ("bare", "")):
        for _ in create_model(store, CreateRequest(name, files={"m.gguf": digest}, renderer=renderer)):
            pass
        made = open_model(store, name).manifest
        store.put_manifest(name, Manifest(config=made.config, layers=[*made.layers, layer]))
    for _ in create_model(store, CreateRequest("written", from_="named", template=PLAIN_GO)):
        pass
    engines = {name: Catalog(store).show(name).template_engine for name in ("named", "bare", "written")}
    assert engines == {"named": "jinja", "bare": "go", "written": "go"}


def test_a_preset_is_taken_by_name_or_told_and_a_template_wins_over_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "m.gguf", "hello", template=PLAIN_JINJA)).digest)

    def made(**fields: Any) -> tuple[str | None, object]:
        for _ in create_model(store, CreateRequest("mine", files={"m.gguf": digest}, **fields)):
            pass
        model = open_model(store, "mine")
        return model.template, model.parameters.get("stop")

    llama2, chatml = PRESETS["llama2"], PRESETS["chatml"]
    assert made() == (None, None)
    assert made(preset="llama2") == (llama2.template, list(llama2.stop))
    assert made(preset="auto") == (chatml.template, list(chatml.stop))
    assert made(preset="llama2", parameters={"stop": ["x"]}) == (llama2.template, ["x"])
    assert made(preset="llama2", template=PLAIN_GO) == (PLAIN_GO, None)


def test_another_preset_brings_its_own_stop_strings_unless_somebody_said_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "m.gguf", "hello", template=None)).digest)
    for stop, kept in ((None, list(PRESETS["llama3"].stop)), (["mine"], ["mine"])):
        said = {"stop": stop} if stop else {}
        for request in (
            CreateRequest("base", files={"m.gguf": digest}, parameters=said),
            CreateRequest("child", from_="base", preset="llama3"),
        ):
            for _ in create_model(store, request):
                pass
        child = open_model(store, "child")
        assert (child.template, child.parameters["stop"]) == (PRESETS["llama3"].template, kept)


def test_weights_without_a_template_get_the_one_their_vocabulary_tells(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "m.gguf", "hello", template=None)).digest)
    steps = [step.status for step in create_model(store, CreateRequest("mine", files={"m.gguf": digest}))]
    assert "using autodetected template chatml" in steps
    model = open_model(store, "mine")
    assert (model.config.template_origin, model.parameters["stop"]) == (
        "autodetected",
        ["<|im_start|>", "<|im_end|>"],
    )
    digest = str(store.blobs.add_file(scripted_model(tmp_path / "n.gguf", "hello", template=CHATML)).digest)
    steps = [step.status for step in create_model(store, CreateRequest("known", files={"n.gguf": digest}))]
    assert not any("autodetected" in status for status in steps)
