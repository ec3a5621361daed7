"""The real model offered beside the toy fits the machine."""

from __future__ import annotations

import pytest

from ollama_tui import suggestions

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("memory", "name"),
    [(4 * GB, "llama3.2:1b"), (8 * GB, "llama3.2:3b"), (16 * GB, "llama3.1:8b"), (64 * GB, "qwen2.5:32b")],
)
def test_the_suggestion_grows_with_the_memory(memory: int, name: str) -> None:
    assert suggestions.suggest(memory).name == name


def test_no_suggestion_takes_more_than_two_thirds_of_the_memory_it_is_for() -> None:
    assert all(suggestions.suggest(memory * GB).memory <= memory * GB * 2 / 3 for memory in range(4, 200))


def test_the_command_gets_the_model() -> None:
    assert suggestions.get_command(suggestions.suggest(4 * GB)) == "ollama-tui pull llama3.2:1b"


def test_only_the_bundled_model_is_the_toy() -> None:
    assert suggestions.is_toy("bard")
    assert suggestions.is_toy("bard:latest")
    assert not suggestions.is_toy("bard:8b")
    assert not suggestions.is_toy("me/bard:latest")


def test_the_memory_of_this_machine_is_measured() -> None:
    assert suggestions.machine_memory() > 256_000_000
