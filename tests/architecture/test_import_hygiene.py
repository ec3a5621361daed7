"""What each way in imports, seen in a process of its own: nobody pays for what they do not use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TERMINAL = ("textual", "rich")
HTTP = ("httpx", "starlette", "uvicorn")
LLAMA = ("llama_cpp",)

IMPORTED = "import json, sys; json.dump(sorted({name.partition(chr(46))[0] for name in sys.modules}), sys.stderr)"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there, and nobody else can take it
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "OLLAMA_HOST": f"127.0.0.1:{taken.getsockname()[1]}",
        }


def imported_by(code: str, environment: dict[str, str]) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{IMPORTED}"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import ollama_engine", (*TERMINAL, *HTTP, *LLAMA, "msgspec", "numpy", "click")),
        ("import ollama_engine.local", (*TERMINAL, *HTTP, *LLAMA, "click")),
        # httpx brings click and rich, and uvicorn click, for command lines of their own.
        ("import ollama_engine.remote", ("textual", *LLAMA, "starlette", "uvicorn", "numpy", "jinja2")),
        ("import ollama_engine.server.serve", (*TERMINAL, *LLAMA, "httpx", "numpy", "jinja2")),
        ("import ollama_tui.launch", ("click", *HTTP, *LLAMA, "numpy", "jinja2")),
    ],
)
def test_an_import_brings_only_what_it_needs(code: str, unwanted: tuple[str, ...], environment: dict[str, str]) -> None:
    assert imported_by(code, environment).isdisjoint(unwanted)


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], (*TERMINAL, *HTTP, *LLAMA, "msgspec", "click", "asyncio", "numpy")),
        (["--help"], (*TERMINAL, *HTTP, *LLAMA, "msgspec", "asyncio", "numpy")),
        (["list"], (*TERMINAL, *HTTP, *LLAMA)),
        (["show", "bard"], (*TERMINAL, *HTTP, *LLAMA)),
        (["run", "bard", "x"], (*TERMINAL, *HTTP, *LLAMA, "prompt_toolkit")),
        (["bench", "--history"], (*TERMINAL, *HTTP, *LLAMA, "jinja2")),
        (["config"], (*TERMINAL, *HTTP, *LLAMA, "asyncio", "numpy", "jinja2", "tomlkit")),
        (["completion", "bash"], (*TERMINAL, *HTTP, *LLAMA, "msgspec", "asyncio", "numpy")),
        (["ps"], (*TERMINAL, *HTTP, *LLAMA, "numpy", "jinja2")),
    ],
)
def test_a_command_imports_only_what_it_needs(
    arguments: list[str], unwanted: tuple[str, ...], environment: dict[str, str]
) -> None:
    code = f"from ollama_tui.cli import main; assert main({arguments!r}) == 0"
    assert imported_by(code, environment).isdisjoint(unwanted)
