"""What a command raised becomes an exit status and at most an `Error:` line; never a traceback unasked."""

from __future__ import annotations

import click
import pytest

from ollama_engine.errors import StoreError
from ollama_tui.cli import status


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(status, "root", command)
    return status.run([])


def test_an_engines_error_is_its_message_and_its_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, StoreError("the disk is \x1b[7mfull", hint="Make room.")) == 1
    assert capsys.readouterr() == ("", "Error: the disk is [7mfull\nMake room.\n")


def test_an_unexpected_error_is_one_line_and_a_way_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OLLAMA_DEBUG", raising=False)
    assert run_raising(monkeypatch, KeyError("odd\nthing")) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: KeyError: ")
    assert "OLLAMA_DEBUG=1" in captured.err
    assert "Traceback" not in captured.err


def test_debugging_shows_where_an_unexpected_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_DEBUG", "1")
    assert run_raising(monkeypatch, KeyError("odd")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_130_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_raising(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")
