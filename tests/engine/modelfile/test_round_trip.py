"""`show --modelfile` prints what compiles to the same layers again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ollama_engine.errors import ModelfileError
from ollama_engine.modelfile.compile import plan_create
from ollama_engine.modelfile.layers import create_model, render_modelfile
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_engine.modelfile.printer import quote
from ollama_engine.store import Store, open_model
from ollama_engine.types import CreateRequest, Message
from tests.engine.modelfile.gguf_parts import adapter, projector, weights


def _writable(text: str) -> bool:
    try:
        quote(text)
    except ModelfileError:
        return False
    return True


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n"), max_size=60)
_text = _texts.filter(_writable)
_said = _text.filter(bool)
_template = st.one_of(
    st.sampled_from(["{{ .Prompt }}", '{{ if .System }}\n"{{ .System }}"{{ end }} {{ .Response }}']),
    _text.filter(lambda text: "{{" not in text and "}}" not in text),
)
_parameters = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2, allow_nan=False).map(lambda value: round(value, 3)),
        "num_ctx": st.integers(1, 1 << 20),
        "use_mmap": st.booleans(),
        "stop": st.lists(_said, min_size=1, max_size=3),
    },
)
_messages = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), _said), max_size=3)


@settings(max_examples=60, deadline=None)
@given(_template, _text, _parameters, _messages, st.lists(_said, max_size=3), st.booleans())
def test_what_show_prints_compiles_to_the_same_layers(
    template: str,
    system: str,
    parameters: dict[str, object],
    messages: list[Message],
    licenses: list[str],
    with_parts: bool,
) -> None:
    assume(all(_writable(str(value)) for value in parameters.values()))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = Store(root / "store")
        made = {"m.gguf": weights(root / "m.gguf")}
        if with_parts:
            made["p.gguf"] = projector(root / "p.gguf")
        adapters = {"a.gguf": adapter(root / "a.gguf")} if with_parts else {}
        request = CreateRequest(
            "first",
            files=_stored(store, made),
            adapters=_stored(store, adapters) or None,
            template=template,
            system=system,
            parameters=parameters,
            messages=messages,
            license=licenses,
        )
        list(create_model(store, request))
        printed = render_modelfile(open_model(store, "first"), "first")
        plan = plan_create(parse_modelfile(printed), root)
        again = plan.request
        again.model = "second"
        again.files, again.adapters = _stored(store, plan.files), _stored(store, plan.adapters) or None
        list(create_model(store, again))
        assert _layers(store, "second") == _layers(store, "first")


def _stored(store: Store, paths: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(store.blobs.add_file(path).digest) for name, path in paths.items()}


def _layers(store: Store, name: str) -> list[tuple[str, str]]:
    return [(layer.media_type, layer.digest) for layer in open_model(store, name).manifest.layers]
