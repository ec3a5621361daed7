"""Shell completion: what Tab offers, without importing what it does not need, and without touching anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ollama_engine.settings import Settings
from ollama_tui.cli.completing import model_names
from tests.support.command_line import COMMAND, CommandLine

IMPORTED = "import json, sys; json.dump(sorted({name.partition('.')[0] for name in sys.modules}), sys.stderr)"


@pytest.fixture
def store(ollama: CommandLine) -> Path:
    """Manifests of four models, and things that are none."""
    root = ollama.home / "models" / "manifests"
    for name in (
        "registry.ollama.ai/library/llama3.2/latest",
        "registry.ollama.ai/library/llama3.2/1b",
        "registry.ollama.ai/ann/own/v1",
        "hf.co/ann/Own-GGUF/Q4_K_M",
        "registry.ollama.ai/library/.hidden/latest",
        "stray",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return root


def offered(ollama: CommandLine, line: str) -> list[str]:
    """What bash is told for a command line with the cursor at its end."""
    environment = {**ollama.environment, "_OLLAMA_TUI_COMPLETE": "bash_complete", "COMP_LINE": line}
    result = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    return [answer.partition(",")[2] for answer in result.stdout.split()]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("ollama-tui sh", ["show"]),
        ("ollama-tui ", None),
        ("ollama-tui run ", ["ann/own:v1", "hf.co/ann/Own-GGUF:Q4_K_M", "llama3.2", "llama3.2:1b"]),
        ("ollama-tui run llama3.2:", ["llama3.2:1b"]),
        ("ollama-tui rm llama3.2 lla", ["llama3.2:1b"]),
        ("ollama-tui show --mod", ["--modelfile"]),
        ("ollama-tui config se", ["set"]),
        ("ollama-tui config set keep", ["keep_alive"]),
        ("ollama-tui completion z", ["zsh"]),
        ("ollama-tui service install --manager l", ["launchd"]),
    ],
)
def test_tab_offers(line: str, answers: list[str] | None, ollama: CommandLine) -> None:
    found = offered(ollama, line)
    if answers is None:
        assert {"run", "list", "doctor", "config"} <= set(found)
    else:
        assert found == answers


def test_settings_that_are_wrong_offer_nothing_and_say_nothing(store: Path, ollama: CommandLine) -> None:
    assert offered(ollama.with_env(OLLAMA_KEEP_ALIVE="soon"), "ollama-tui run ") == []


def test_a_store_that_is_not_there_has_no_names(tmp_path: Path) -> None:
    assert model_names(Settings(models=tmp_path / "none")) == []


def test_completing_a_model_imports_nothing_heavy_and_makes_nothing(ollama: CommandLine) -> None:
    environment = {**ollama.environment, "_OLLAMA_TUI_COMPLETE": "bash_complete", "COMP_LINE": "ollama-tui run "}
    code = f"import atexit, sys\natexit.register(lambda: exec({IMPORTED!r}))\nimport ollama_tui.cli as c\nc.main([])"
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    imported = set(json.loads(result.stderr))
    assert imported.isdisjoint(
        ("textual", "rich", "httpx", "starlette", "numpy", "llama_cpp", "prompt_toolkit", "jinja2")
    )
    assert not (ollama.home / "models").exists()


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["ollama-tui", "run", "lla"], ["llama3.2", "llama3.2:1b"]),
        (["ollama-tui", "run", "llama3.2", ":"], ["1b"]),  # bash splits at colons
    ],
)
def test_bash_completes_with_the_script(
    words: list[str], reply: list[str], ollama: CommandLine, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "ollama-tui"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ollama_tui "$@"\n')
    program.chmod(0o755)
    line = "".join(words[:2]).replace("ollama-tui", "ollama-tui ") + " " + "".join(words[2:])
    script = (
        'eval "$(ollama-tui completion bash)"\n'
        f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1} COMP_LINE={line!r} COMP_POINT={len(line)}\n"
        "_ollama_tui_completion ollama-tui\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {**ollama.environment, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    result = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (result.stdout.split(), result.stderr) == (reply, "")


@pytest.mark.parametrize(("shell", "sign"), [("zsh", "#compdef ollama-tui"), ("fish", "complete --no-files")])
def test_the_other_shells_have_scripts_too(shell: str, sign: str, ollama: CommandLine) -> None:
    script = ollama.call("completion", shell)
    assert script.returncode == 0
    assert sign in script.stdout
    assert "_OLLAMA_TUI_COMPLETE" in script.stdout
