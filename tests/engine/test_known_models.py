"""The catalog of well-known models: true to its schema, plausible, and honest about what fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ollama_engine.known_models import KnownModel, Memory, fits, known_models, machine_memory, search
from ollama_engine.store import names

GB = 1_000_000_000
MODELS = known_models().models
README = Path(__file__).parents[2] / "README.md"


def test_names_are_whole_valid_and_unique() -> None:
    assert len({model.name for model in MODELS}) == len(MODELS)
    assert all(names.parse(model.name).display == model.name for model in MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_download_is_plausible_for_the_parameters(model: KnownModel) -> None:
    """Four bits a weight at least, and 16 and some at most; small models have large embeddings, vision a projector."""
    bits = model.download * 8 / model.parameters
    assert 3.9 <= bits <= 17.5
    assert bits <= 6.5 or model.parameters < 5 * GB
    assert model.memory > model.download
    assert -1 <= model.memory - 1.1 * model.download <= 10 * GB
    assert bool(model.layers) == bool(model.kv_heads) == bool(model.head_dim)
    assert model.capabilities
    assert 0 < len(model.note) <= 48


def test_the_models_of_the_readme_are_in_it() -> None:
    table = README.read_text().partition("quantized to 4 bits")[2].partition("\n## ")[0]
    for family in re.findall(r"[a-z][a-z0-9.]+(?::[a-z0-9.]+)?", table.partition("\n\n")[0]):
        assert any(model.name == family or model.name.startswith(f"{family}:") for model in MODELS), family


@pytest.mark.parametrize(
    "name",
    [
        "llama3.1:405b",
        "mixtral:8x7b",
        "qwen2.5:72b",
        "deepseek-r1:671b",
        "codellama:34b",
        "qwen3:30b-a3b",
        "gpt-oss:120b",
    ],
)
def test_well_known_models_are_known(name: str) -> None:
    assert any(model.name == name for model in MODELS)


def test_the_memory_need_is_weights_a_tenth_and_the_cache_of_8192_tokens() -> None:
    (model,) = (model for model in MODELS if model.name == "llama3.1:8b")
    assert model.memory == round(4.9 * GB * 1.1) + 8192 * 2 * 2 * 32 * 8 * 128


@pytest.mark.parametrize(
    ("host", "device", "where"),
    [(64, 8, "gpu"), (64, 4, "partial"), (16, 0, "cpu"), (4, 0, "none"), (4, 2, "none"), (4, 16, "gpu")],
)
def test_where_a_model_would_run(host: int, device: int, where: str) -> None:
    (model,) = (model for model in MODELS if model.name == "llama3.1:8b")
    assert fits(model, Memory(host * GB, device * GB)) == where


def test_search_wants_all_words() -> None:
    assert {model.name for model in search("LLAMA3.2 tools")} == {"llama3.2:1b", "llama3.2:3b"}
    assert search("llama no-such-word") == []
    assert search() == MODELS


def test_this_machine_has_memory() -> None:
    assert machine_memory().host > GB // 4
