"""`run` on an embedding model: the vector of the text as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from tests.support.command_line import CommandLine, silent_port
from tests.support.embedding_models import bert_model


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    home = tmp_path_factory.mktemp("home")
    bert_model(home / "bert.gguf")
    with silent_port() as port:
        command_line = CommandLine(home, f"127.0.0.1:{port}")
        (home / "Modelfile").write_text("FROM bert.gguf\n")
        created = command_line.run("create", "bert")
        assert created.returncode == 0, created.stderr
        yield command_line


def test_the_vector_is_printed_as_one_line_of_json(embedder: CommandLine) -> None:
    result = embedder.run("run", "bert", "the", "cat", "--verbose")
    assert result.returncode == 0, result.stderr
    vector = json.loads(result.stdout)
    assert len(vector) == 64
    assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-5)
    assert result.stdout.count("\n") == 1
    assert " " not in result.stdout
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
        "total duration",
        "load duration",
        "prompt eval count",
    ]


def test_dimensions_and_truncate_are_taken(embedder: CommandLine) -> None:
    long = b"cat " * 500
    assert len(json.loads(embedder.run("run", "bert", "--dimensions", "5", "--truncate", stdin=long).stdout)) == 5
    refused = embedder.run("run", "bert", "--truncate=false", stdin=long)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the input length exceeds the context length" in refused.stderr


def test_without_a_text_the_way_to_give_one_is_shown(embedder: CommandLine) -> None:
    result = embedder.run("run", "bert", stdin=b"")
    assert (result.returncode, result.stdout) == (1, "")
    assert "embedding models require input text" in result.stderr
