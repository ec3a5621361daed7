from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType

from tests.support.gguf_models import TINY, looping_model, random_model


@pytest.fixture(scope="session")
def looping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Says "round and round it goes, " for ever."""
    return looping_model(tmp_path_factory.mktemp("models") / "looping.gguf")


@pytest.fixture(scope="session")
def random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attention that really looks at what was before: its greedy answer differs with every prompt.

    F32, so that the shape of a batch changes its logits too little to change its choice.
    """
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    return random_model(path, **TINY, weights=GGMLQuantizationType.F32)
