"""Every test has a home of its own, and no setting, proxy or terminal size of the machine's reaches it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_engine.runner import amx

FOLDERS = ("CONFIG", "DATA", "CACHE", "STATE")


@pytest.fixture(autouse=True, scope="session")
def no_amx() -> None:
    """Tests that call llama.cpp in their own process keep it off AMX as the runner does."""
    if amx.is_present():
        amx.forbid()


@pytest.fixture(scope="session")
def real_home() -> dict[str, str]:
    """The environment as it was before any test: for tools that keep their settings and downloads in HOME."""
    return dict(os.environ)


@pytest.fixture(autouse=True, scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory, real_home: dict[str, str]) -> Iterator[None]:
    """A temporary HOME for what several tests share, which is made before any of them has its own."""
    with pytest.MonkeyPatch.context() as patch:
        _live_in(tmp_path_factory.mktemp("shared_home"), patch)
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary HOME, also for the processes that a test starts."""
    home = tmp_path_factory.mktemp("home")
    _live_in(home, monkeypatch)
    return home


def _live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("HOME", str(home))
    for folder in FOLDERS:
        patch.setenv(f"XDG_{folder}_HOME", str(home / folder.lower()))
    for name in list(os.environ):
        if (
            name.startswith("OLLAMA_")
            or name in ("COLUMNS", "LINES")
            or name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
        ):
            patch.delenv(name)
