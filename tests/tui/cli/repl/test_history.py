"""What was typed, on the disk: for its owner alone, bounded, and never in the way."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ollama_tui.cli.repl import history as module
from ollama_tui.cli.repl.history import PrivateHistory


def loaded(path: Path) -> list[str]:
    return list(PrivateHistory(path, enabled=True, complain=pytest.fail).load_history_strings())


def test_lines_are_kept_newest_first_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "history"
    history = PrivateHistory(path, enabled=True, complain=pytest.fail)
    history.append_string("one")
    history.append_string("two\nlines")
    assert loaded(path) == ["two\nlines", "one"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_nothing_is_kept_while_it_is_off(tmp_path: Path) -> None:
    history = PrivateHistory(tmp_path / "history", enabled=False, complain=pytest.fail)
    history.append_string("secret")
    assert not (tmp_path / "history").exists()
    history.enabled = True
    history.append_string("open")
    assert loaded(tmp_path / "history") == ["open"]


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    path = tmp_path / "history"
    history = PrivateHistory(path, enabled=True, complain=pytest.fail)
    for number in range(7):
        history.append_string(f"line {number}\nof two")
    assert loaded(path) == [f"line {number}\nof two" for number in (6, 5, 4)]
    assert loaded(path) == [f"line {number}\nof two" for number in (6, 5, 4)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_disk_that_refuses_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    history = PrivateHistory(tmp_path / "file" / "history", enabled=True, complain=told.append)
    history.append_string("one")
    history.append_string("two")
    assert len(told) == 1
    assert "cannot write the history" in told[0]
    unreadable = tmp_path / "folder"
    unreadable.mkdir()
    broken = PrivateHistory(unreadable, enabled=True, complain=told.append)
    assert list(broken.load_history_strings()) == []
    assert "cannot read the history" in told[1]
