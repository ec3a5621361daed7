"""Two runs: what is called better, worse, or no difference."""

from __future__ import annotations

from msgspec import structs

from ollama_engine.bench import compare
from tests.support.bench_runs import SURROUNDINGS, result, run


def verdicts(before: list[float], after: list[float], **fields: object) -> dict[str, str]:
    found = compare(run(result(before)), run(result(after, **fields)))  # type: ignore[arg-type]
    return {one.metric: one.verdict for one in found.differences}


def test_slower_by_more_than_the_spread_is_worse_in_all_speeds() -> None:
    assert verdicts([100, 101, 102], [80, 81, 82]) == {
        "load": "unsure",
        "prompt": "worse",
        "generation": "worse",
        "throughput": "worse",
        "first_token": "worse",
        "memory": "same",
    }
    assert verdicts([80, 81, 82], [100, 101, 102])["first_token"] == "better"


def test_a_difference_that_the_spread_explains_is_none() -> None:
    assert verdicts([100, 60, 140], [80, 50, 110])["generation"] == "same"
    assert verdicts([100, 101, 102], [99.5, 100.2, 101])["generation"] == "same"


def test_too_few_measurements_tell_nothing() -> None:
    assert verdicts([100, 100], [50, 50])["generation"] == "unsure"


def test_more_memory_is_worse_and_one_figure_is_enough_for_it() -> None:
    more = structs.replace(result([1]).memory, size=60_000_000)  # type: ignore[type-var]
    assert verdicts([100], [100], memory=more)["memory"] == "worse"


def test_only_what_exceeds_the_limit_counts_as_a_regression() -> None:
    found = compare(run(result([100, 100, 100])), run(result([80, 80, 80])))
    assert {one.metric for one in found.worse(10)} == {"prompt", "generation", "throughput", "first_token"}
    assert {one.metric for one in found.worse(22)} == {"first_token"}  # a time, which is a quarter longer
    assert not found.worse(40)


def test_cells_that_only_one_has_are_named_and_one_that_fails_now_is_a_regression() -> None:
    before = run(result([100] * 3), result([100] * 3, prompt=512), result([1] * 3, prompt=9))
    after = run(
        result([100] * 3, options={"num_ctx": 64}),
        result([], prompt=512, state="failed", failure="no room"),
        result([1] * 3, prompt=9),
    )
    found = compare(before, after)
    rows = [(one.prompt, one.options, one.verdict, one.reason) for one in found.differences if one.metric == "-"]
    assert rows == [
        (128, "num_ctx=64", "new", ""),
        (512, "", "failed", "no room"),
        (128, "", "gone", ""),
    ]
    assert [one.verdict for one in found.worse(1000)] == ["failed"]


def test_another_machine_build_or_model_is_said() -> None:
    before = run(result([100] * 3))
    after = run(
        result([100] * 3),
        digests={"bard:latest": "cd" * 32},
        surroundings=structs.replace(SURROUNDINGS, cpu="Another", version="0.2.0", devices=()),
        warnings=("CPU busy with other work: 90 %",),
    )
    assert compare(before, before).warnings == ()
    assert compare(before, after).warnings == (
        "another processor: A processor before, Another now",
        "another version: 0.1.0 before, 0.2.0 now",
        "other GPUs: A card before, none now",
        "bard:latest is not the model that it was",
        "now: CPU busy with other work: 90 %",
    )
