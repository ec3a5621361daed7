"""Who comes to these tests has seen the tour; the test of the newcomer takes that away again."""

from __future__ import annotations

from pathlib import Path

import pytest

TOUR = "OLLAMA_TUI_TOUR"


@pytest.fixture(autouse=True)
def no_newcomer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOUR, "0")
