"""What was asked for becomes the matrix that is measured."""

from __future__ import annotations

import pytest

from ollama_engine.bench import Plan, options_text, parse_lengths, parse_options
from ollama_engine.bench.plan import cells, check
from ollama_engine.errors import InvalidRequest


def test_every_combination_is_a_cell_and_those_of_one_load_stand_together() -> None:
    plan = Plan(models=("a", "b"), prompts=(8, 16), generates=(4,), concurrencies=(1, 2), options=({}, {"num_ctx": 64}))
    found = cells(plan)
    assert len(found) == len({cell.key for cell in found}) == 16
    loads = [(cell.model, options_text(cell.options)) for cell in found]
    assert loads == sorted(loads)


def test_options_with_several_values_are_combined_and_lists_are_one_value() -> None:
    assert parse_options([]) == ({},)
    assert parse_options(["num_ctx=512,1024", "cache_type_k=f16,q8_0"]) == (
        {"num_ctx": 512, "cache_type_k": "f16"},
        {"num_ctx": 512, "cache_type_k": "q8_0"},
        {"num_ctx": 1024, "cache_type_k": "f16"},
        {"num_ctx": 1024, "cache_type_k": "q8_0"},
    )
    [both] = parse_options(["tensor_split=3,1", "num_gpu=0"])
    assert options_text(both) == "tensor_split=3.0,1.0 num_gpu=0"


@pytest.mark.parametrize(
    ("pair", "words"),
    [("num_ctx", "NAME=VALUE"), ("num_ctxx=1", "num_ctx"), ("num_ctx=many", "num_ctx"), ("num_thread=9999", "512")],
)
def test_an_option_that_is_none_says_what_it_should_be(pair: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_options([pair])
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_lengths_are_numbers() -> None:
    assert parse_lengths("128,512 1024") == (128, 512, 1024)
    with pytest.raises(InvalidRequest, match="'-1' is no whole number"):
        parse_lengths("8,-1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"models": ()}, "no model"),
        ({"prompts": ()}, "prompt length"),
        ({"generates": (0,)}, "generation length"),
        ({"concurrencies": (1000,)}, "concurrency"),
        ({"repeats": 0}, "repeats"),
        ({"options": ({"num_predict": 5},)}, "num_predict"),
        ({"prompts": tuple(range(1, 3000))}, "too many"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    plan: dict[str, object] = {"models": ("bard",), **fields}
    with pytest.raises(InvalidRequest, match=words):
        check(Plan(**plan))  # type: ignore[arg-type]


def test_values_said_twice_count_once() -> None:
    plan = check(Plan(models=("a", "a"), prompts=(8, 8), options=({"num_ctx": 64}, {"num_ctx": 64})))
    assert len(cells(plan)) == 1
