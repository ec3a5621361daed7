"""What the first run finds on a machine: Ollama's server, its stores, and nothing that this program made itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ollama_engine.local import LocalEngine
from ollama_engine.settings import HostAddress, Settings
from ollama_tui.first_run.existing import notice
from tests.support.command_line import silent_port
from tests.support.demo_engine import DemoEngine
from tests.support.foreign_server import foreign_server
from tests.support.live_server import live_server


async def fill(root: Path, *names: str) -> None:
    """A store with bard, and further names for it."""
    async with LocalEngine(Settings(models=root)) as engine:
        for name in names:
            await engine.copy("bard", name)


async def told(models: Path, *stores: Path) -> str:
    """The notice where no server runs."""
    with silent_port() as port:
        address = HostAddress(port=port)
        return await notice(Settings(models=models, host=address), server=address, stores=stores)


async def test_a_store_that_is_used_is_told_with_its_models_but_bard(tmp_path: Path) -> None:
    store = tmp_path / ".ollama" / "models"
    await fill(store, "llama3.2:1b", "qwen2.5:7b")
    text = "Found Ollama's store ~/.ollama/models: its 2 models are in the Library."
    assert await told(store, Path("~/.ollama/models")) == text


async def test_another_store_is_told_with_the_command_that_takes_it(tmp_path: Path) -> None:
    await fill(tmp_path / "own")
    await fill(tmp_path / "service", "llama3.2:1b")
    text = "~/service has 1 model: ':set models ~/service' takes that store."
    assert await told(tmp_path / "own", tmp_path / "service", tmp_path / "none") == text


async def test_a_store_with_bard_alone_and_what_cannot_be_read_are_nothing_to_tell(tmp_path: Path) -> None:
    await fill(tmp_path / "own")
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert await told(tmp_path / "own", tmp_path / "file", tmp_path / "loop") == ""


async def test_the_server_that_is_used_is_told_and_no_store_beside_it(tmp_path: Path) -> None:
    await fill(tmp_path / "own", "llama3.2:1b")
    with foreign_server() as server:
        settings = Settings(models=tmp_path / "own", host=HostAddress.parse(server.host))
        text = await notice(settings, server=settings.host, stores=[])
    assert text == f"Connected to Ollama 0.0.0 at {server.host}: its 1 model is in the Library."


async def test_a_server_beside_the_one_that_is_used_is_told_with_how_to_use_it(tmp_path: Path) -> None:
    with foreign_server() as server, silent_port() as port:
        settings = Settings(models=tmp_path / "own", host=HostAddress(port=port))
        text = await notice(settings, server=HostAddress.parse(server.host), stores=[])
    assert text == f"Ollama 0.0.0 answers at {server.host}, with 1 model: 'ollama-tui --host {server.host}' uses it."


async def test_a_server_of_this_program_is_nothing_to_tell(tmp_path: Path) -> None:
    async with live_server(DemoEngine()) as address:
        assert await notice(Settings(models=tmp_path / "own", host=address), server=address, stores=[]) == ""


async def test_what_listens_there_and_is_no_server_of_models_is_nothing_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ollama_tui.first_run.existing.PATIENCE", 0.2)
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with silent:
        address = HostAddress(port=silent.sockets[0].getsockname()[1])
        with silent_port() as port:
            assert await notice(Settings(host=HostAddress(port=port)), server=address, stores=[]) == ""
