"""Names parse as Ollama parses them, print back to themselves, and can never leave the store's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_engine.errors import InvalidName
from ollama_engine.store.names import ModelName, is_valid_part, parse

WORD = "ABCXYZabcxyz019_"


def part(more: str, longest: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda first, rest: first + rest,
        st.sampled_from(WORD),
        st.text(st.sampled_from(WORD + more), max_size=longest - 1),
    )


names = st.builds(
    ModelName,
    host=st.one_of(st.just("registry.ollama.ai"), part("-.:", 350)),
    namespace=st.one_of(st.just("library"), part("-", 80)),
    model=part("-.", 80),
    tag=st.one_of(st.just("latest"), part("-.", 80)),
)


@pytest.mark.parametrize(
    ("text", "full", "display"),
    [
        ("llama3.2", "registry.ollama.ai/library/llama3.2:latest", "llama3.2:latest"),
        ("llama3.2:1b", "registry.ollama.ai/library/llama3.2:1b", "llama3.2:1b"),
        ("ann/poet", "registry.ollama.ai/ann/poet:latest", "ann/poet:latest"),
        ("hf.co/someone/X-GGUF:Q4_K_M", "hf.co/someone/X-GGUF:Q4_K_M", "hf.co/someone/X-GGUF:Q4_K_M"),
        ("localhost:5000/ann/poet", "localhost:5000/ann/poet:latest", "localhost:5000/ann/poet:latest"),
        ("registry.ollama.ai/library/poet:x", "registry.ollama.ai/library/poet:x", "poet:x"),
        ("registry.ollama.ai/ann/poet", "registry.ollama.ai/ann/poet:latest", "ann/poet:latest"),
        ("_x", "registry.ollama.ai/library/_x:latest", "_x:latest"),
    ],
)
def test_what_is_left_out_takes_ollamas_defaults(text: str, full: str, display: str) -> None:
    name = parse(text)
    assert (name.full, name.display, name.scheme) == (full, display, "https")


@pytest.mark.parametrize(
    ("text", "scheme"), [("http://h:80/n/m:t", "http"), ("HTTPS://h/n/m", "https"), ("h/n/m", "https")]
)
def test_a_scheme_is_recognised_and_is_no_part_of_the_name(text: str, scheme: str) -> None:
    name = parse(text)
    assert name.scheme == scheme
    assert "://" not in name.full
    assert name.same(parse(text.rpartition("://")[2]))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the model is empty"),
        (":", "the model is empty"),
        ("m:", "the tag is empty"),
        ("/m", "the namespace is empty"),
        ("/n/m", "the host is empty"),
        ("n/", "the model is empty"),
        ("a/b/c/d", "more parts"),
        ("..", "the model may hold only"),
        ("../../etc/passwd", "more parts"),
        ("n.x/m", "the namespace may hold only"),
        ("m:../x", "the namespace may hold only"),
        ("m:.x", "the tag may hold only"),
        ("-m", "begins with a letter"),
        ("m m", "the model may hold only"),
        ("m\n", "the model may hold only"),
        ("m\x00", "the model may hold only"),
        ("mödel", "the model may hold only"),
        ("C:\\x", "the tag may hold only"),
        ("m@sha256:" + "0" * 64, "@digest"),
        ("ftp://h/n/m", "scheme must be"),
        ("http://m", "after a scheme"),
        ("m" * 81, "longer than 80"),
        ("h" * 351 + "/n/m", "longer than 350"),
    ],
)
def test_what_is_no_name_is_refused_with_the_fault_named(text: str, fault: str) -> None:
    with pytest.raises(InvalidName, match=fault) as caught:
        parse(text)
    assert str(caught.value).startswith("invalid model name")
    assert caught.value.hint


@given(names)
def test_every_name_prints_to_text_that_parses_back_to_it(name: ModelName) -> None:
    assert parse(name.full) == name
    assert parse(name.display).same(name)
    assert name.display.endswith(":" + name.tag)


@given(names)
def test_case_makes_no_other_model(name: ModelName) -> None:
    assert parse(name.full.upper()).same(name)
    assert parse(name.full.upper()).key == name.key


@given(st.one_of(st.text(), st.text(st.sampled_from("aZ0._-:/@!\\ \n\x00K"), max_size=30)))
@example("registry.ollama.ai/library/../..:x")
@example("!MISSING!")
@example("://")
@example("https:///n/m")
def test_any_text_is_a_name_inside_the_store_or_an_invalid_name(text: str) -> None:
    root = Path("/store/manifests")
    try:
        name = parse(text)
    except InvalidName:
        return
    path = root.joinpath(*name.parts)
    assert path.relative_to(root).parts == name.parts
    assert not any(part.startswith(".") or set(part) & set("/\\\x00") for part in name.parts)
    assert name.full.isascii()


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_a_name_cannot_be_built_of_invalid_parts(h: str, n: str, m: str, t: str, scheme: str) -> None:
    valid = all(map(is_valid_part, ("host", "namespace", "model", "tag"), (h, n, m, t)))
    if valid and scheme in ("http", "https"):
        ModelName(h, n, m, t, scheme)
    else:
        with pytest.raises(InvalidName):
            ModelName(h, n, m, t, scheme)
