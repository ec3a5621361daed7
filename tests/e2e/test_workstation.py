"""The real program on a real terminal: open, ask a model, watch text arrive, stop, quit, and find it all again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import TOUR
from tests.support import real_program
from tests.support.command_line import silent_port
from tests.support.gguf_models import looping_model, scripted_model
from tests.support.real_program import PROGRAM, RESTORED, create, runners
from tests.support.terminal import Terminal

SIZES = [(80, 24), (200, 50)]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    with silent_port() as port:
        yield real_program.environment(f"127.0.0.1:{port}")


def copy(name: str, environment: dict[str, str]) -> None:
    """bard under a second name."""
    with Terminal([*PROGRAM, "cp", "bard", name], environment) as terminal:
        assert terminal.wait_closed() == 0, terminal.text


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_a_newcomer_opens_it_asks_bard_and_quits(columns: int, lines: int, environment: dict[str, str]) -> None:
    with Terminal(PROGRAM, environment, columns=columns, lines=lines) as terminal:
        screen = terminal.wait_for("bard:latest")
        assert "Library" in screen
        terminal.wait_for("babbles in Shakespeare's manner")
        terminal.press("enter")
        terminal.wait_for("Ask something")
        terminal.type("Who goes there?")
        terminal.wait_for("Who goes there?")
        terminal.press("enter")
        terminal.wait_for("tok/s")
        (runner,) = runners(terminal.process.pid)
        terminal.press("f3")
        terminal.wait_for("UNLOADS")
        terminal.wait_for(f"pid {runner.pid}")
        terminal.press("q")
        assert terminal.wait_closed() == 0
        assert all(sequence in terminal.output for sequence in RESTORED)
        assert not runner.is_running()


def test_the_first_run_opens_on_bard_with_a_tour_and_the_next_one_as_usual(environment: dict[str, str]) -> None:
    environment.pop(TOUR)
    copy("verse", environment)
    with Terminal(PROGRAM, environment) as terminal:
        terminal.wait_for("Write below; enter sends it")
        terminal.type("Who goes there?\r")
        terminal.wait_for("tok/s")
        screen = terminal.wait_for("its 1 model is in the Library")
        assert "bard:latest" in screen
        assert "Write below; enter sends it" in screen
        terminal.press("f6")
        terminal.wait_for(lambda text: "Write below" not in text and "in the Library" not in text)
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0
    with Terminal(PROGRAM, environment) as terminal:
        screen = terminal.wait_for("verse:latest")
        assert "Installed" in screen
        assert "change panes" not in screen
        terminal.press("4")
        terminal.wait_for("Who goes there?")
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_text_arrives_while_it_is_written_and_esc_stops_it(
    columns: int, lines: int, environment: dict[str, str], tmp_path: Path
) -> None:
    create("endless", looping_model(tmp_path / "endless.gguf", "and on it goes, "), environment)
    with Terminal([*PROGRAM, "chat", "endless"], environment, columns=columns, lines=lines) as terminal:
        terminal.wait_for("Ask something")
        terminal.type("Begin")
        terminal.press("enter")
        terminal.wait_for("and on it goes, and on it goes")
        before = terminal.text
        terminal.wait_for(lambda text: "and on it goes" in text and text != before)
        terminal.press("escape")
        terminal.wait_for("stopped")
        stopped = terminal.text
        assert "and on it goes" in stopped
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0


def test_the_conversation_and_an_unsent_draft_are_there_the_next_time(
    environment: dict[str, str], tmp_path: Path
) -> None:
    create("exact", scripted_model(tmp_path / "exact.gguf", "The quick brown fox: naïve café ☕ 日本."), environment)
    with Terminal([*PROGRAM, "chat", "exact"], environment) as terminal:
        terminal.wait_for("Ask something")
        terminal.type("Say it")
        terminal.press("enter")
        terminal.wait_for("café")
        terminal.wait_for("tok/s")
        terminal.type("half a thought")
        terminal.wait_for("half a thought")
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0
    with Terminal(PROGRAM, environment) as terminal:
        terminal.wait_for("exact:latest")
        terminal.press("4")
        terminal.wait_for("The quick brown fox: naïve café")
        terminal.wait_for("half a thought")
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0


def test_the_terminal_has_the_size_it_has_whatever_a_shell_has_exported(environment: dict[str, str]) -> None:
    with Terminal(PROGRAM, {**environment, "COLUMNS": "60", "LINES": "12"}, columns=100, lines=30) as terminal:
        screen = terminal.wait_for("bard:latest")
        assert max(map(len, screen.splitlines())) in (99, 100)
        terminal.resize(72, 20)
        terminal.wait_for(lambda text: max(map(len, text.splitlines())) in (71, 72))
        terminal.press("q")
        assert terminal.wait_closed() == 0


def test_sigterm_restores_the_terminal_and_ends_the_runner(environment: dict[str, str]) -> None:
    with Terminal(PROGRAM, environment) as terminal:
        terminal.wait_for("bard:latest")
        terminal.press("enter")
        terminal.wait_for("Ask something")
        terminal.type("Speak")
        terminal.press("enter")
        terminal.wait_for("tok/s")
        (runner,) = runners(terminal.process.pid)
        terminal.process.terminate()
        assert terminal.wait_closed() == 0
        assert all(sequence in terminal.output for sequence in RESTORED)
        assert not runner.is_running()


def test_a_model_that_is_no_gguf_any_more_is_a_notice_and_the_question_is_kept(
    environment: dict[str, str], home: Path
) -> None:
    with Terminal([*PROGRAM, "list"], environment) as terminal:
        assert terminal.wait_closed() == 0
    (weights,) = [blob for blob in (home / "models" / "blobs").iterdir() if blob.stat().st_size > 1_000_000]
    weights.write_bytes(b"this is no model" * 1000)
    with Terminal([*PROGRAM, "chat", "bard"], environment) as terminal:
        assert terminal.wait_closed() == 1
        assert "not a GGUF" in terminal.text
    with Terminal(PROGRAM, environment) as terminal:
        terminal.wait_for("bard:latest")
        terminal.press("enter")
        terminal.wait_for("Ask something")
        terminal.type("Are you there?")
        terminal.press("enter")
        terminal.wait_for("not a GGUF")
        terminal.wait_for("Are you there?")
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0
