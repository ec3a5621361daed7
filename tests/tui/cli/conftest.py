"""`ollama`: the command with a home of its own and nobody at OLLAMA_HOST; `models`: the same with scripted models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, silent_port
from tests.support.gguf_models import looping_model, scripted_model

ANSWER = "Good morrow, friend. What news from the court?"


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[CommandLine]:
    with silent_port() as port:
        yield CommandLine(tmp_path, f"127.0.0.1:{port}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """`scripted` answers ANSWER to everything, `looping` goes on for minutes (ten times its context is the most that an
    answer may be long). Tests of a module share them."""
    home = tmp_path_factory.mktemp("home")
    scripted_model(home / "scripted.gguf", ANSWER)
    looping_model(home / "looping.gguf", context_length=65_536)
    with silent_port() as port:
        command_line = CommandLine(home, f"127.0.0.1:{port}")
        for name, context in (("scripted", 2048), ("looping", 65_536)):
            (home / "Modelfile").write_text(f"FROM {name}.gguf\nPARAMETER num_ctx {context}\n")
            created = command_line.run("create", name)
            assert created.returncode == 0, created.stderr
        yield command_line
