"""Order and filter of the Library's table."""

from __future__ import annotations

import pytest

from ollama_engine.modelfile.quantizations import QUANTIZATIONS
from ollama_tui.panes.library.order import Sort, filtered, ordered
from ollama_tui.panes.library.precision import BITS, FINEST_FIRST
from tests.support.demo_engine import demo_models, summary

BARD, LLAMA, QWEN, LLAVA, NOMIC = demo_models()


def names(sort: Sort) -> list[str]:
    fits = {LLAMA.digest: "partial", BARD.digest: "gpu", QWEN.digest: "none"}
    models = ordered(demo_models(), sort, fits=fits, loaded=["llava:13b-v1.6-vicuna-q4_K_M"])  # pyright: ignore[reportArgumentType]
    return [model.name.partition(":")[0] for model in models]


@pytest.mark.parametrize(
    ("key", "first", "last"),
    [
        ("name", "bard", "qwen2.5-coder"),
        ("size", "llava", "bard"),
        ("parameters", "llava", "bard"),
        ("quantization", "nomic-embed-text", "qwen2.5-coder"),
        ("context", "llama3.1", "bard"),
        ("fit", "bard", "nomic-embed-text"),
        ("family", "bard", "qwen2.5-coder"),
        ("capabilities", "qwen2.5-coder", "nomic-embed-text"),
        ("modified", "bard", "nomic-embed-text"),
        ("loaded", "llava", "qwen2.5-coder"),
    ],
)
def test_each_column_sorts_and_sorts_back(key: str, first: str, last: str) -> None:
    sort = Sort("nothing").by(key)
    assert (names(sort)[0], names(sort)[-1]) == (first, last)
    again = sort.by(key)
    assert again.rising is not sort.rising
    if key == "fit":  # what is not known stays last
        assert names(again)[0] == "qwen2.5-coder"
        assert set(names(again)[-2:]) == {"llava", "nomic-embed-text"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 5),
        ("q4_k_m", 3),
        ("q4_k_m !llava", 2),
        ("vision", 1),
        ("LLAMA tools", 1),
        ("!completion", 1),
        ("nobody", 0),
        ("!", 0),
    ],
)
def test_words_are_all_found_in_name_family_quantization_or_capabilities(text: str, found: int) -> None:
    assert len(filtered(demo_models(), text)) == found


def test_a_parameter_size_that_is_none_stands_last() -> None:
    odd = summary("odd", 1, "a few..B", "Q4_0", 1)
    models = ordered([odd, BARD, LLAMA], Sort("parameters"), fits={}, loaded=())
    assert [model.name for model in models] == ["llama3.1:8b", "bard:latest", "odd"]


def test_the_types_of_weights_are_the_engines() -> None:
    assert tuple(QUANTIZATIONS) == FINEST_FIRST
    assert all(not QUANTIZATIONS[name].needs_imatrix for name in BITS)
