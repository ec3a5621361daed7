"""A Rust program that uses `reqwest`, built here, against a live server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ollama_engine import __version__
from ollama_engine.settings import HostAddress
from tests.clients.conftest import TEXT

SOURCE = Path(__file__).parent / "rust"
FETCH_SECONDS, BUILD_SECONDS = 120, 540


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, real_home: dict[str, str]) -> Path:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    folder = tmp_path_factory.mktemp("rust")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True)

    def run(*arguments: str, seconds: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [cargo, *arguments],
            cwd=folder,
            env=real_home,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    try:
        fetched = run("fetch", seconds=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip("cargo cannot fetch crates: no answer in time")
    if fetched.returncode:
        pytest.skip(f"cargo cannot fetch crates: {fetched.stderr.strip().splitlines()[-1:]}")
    built = run("build", "--offline", seconds=BUILD_SECONDS)
    assert built.returncode == 0, built.stderr
    return folder / "target/debug/ollama-tui-client-test"


@pytest.mark.soak
async def test_it_asks_chats_goes_on_and_embeds(program: Path, server: HostAddress, story: str, bert: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(program), server.url, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    got = json.loads(out)
    assert got["version"] == __version__
    assert (got["chat"], got["done_reason"], got["streamed"], got["generated"]) == (TEXT, "stop", TEXT, TEXT)
    assert got["speed"] > 0
    assert got["longer"]
    assert got["continued"]
    assert got["dimensions"] == [64, 64]
    assert got["error"] == {"status": 404, "message": "model 'nope' not found"}
