"""The real program at the other end of a real SSH connection: what it sends, and what is left when the line breaks."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command_line import silent_port
from tests.support.gguf_models import looping_model
from tests.support.real_program import PROGRAM, RESTORED, copy_answer, create, environment, runners, saved_messages
from tests.support.sshd import Sshd, missing
from tests.support.terminal import Terminal

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "all is there")

PHRASE = "and on it goes, "
ALL_COLOURS = "alacritty"
"""A terminal that shows all colours, by the one variable that SSH forwards."""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path) as sshd:
        yield sshd


@pytest.fixture
def terminal(sshd: Sshd, tmp_path: Path) -> Iterator[Terminal]:
    """The program over SSH; a model that never ends has begun to answer."""
    with silent_port() as port:
        env = environment(f"127.0.0.1:{port}")
        create("endless", looping_model(tmp_path / "endless.gguf", PHRASE), env)
        with sshd.terminal([*PROGRAM, "chat", "endless"], env, term=ALL_COLOURS) as terminal:
            terminal.wait_for("Ask something")
            terminal.type("Begin")
            terminal.press("enter")
            terminal.wait_for((PHRASE * 2).strip())
            yield terminal


def program(sshd: Sshd) -> psutil.Process:
    (found,) = [one for one in sshd.processes() if one.cmdline()[: len(PROGRAM)] == PROGRAM]
    return found


def test_a_line_is_spared_follows_the_window_and_carries_the_clipboard(sshd: Sshd, terminal: Terminal) -> None:
    (runner,) = runners(program(sshd).pid)
    seen = runner.environ()  # what the program has set for what it imports and starts
    assert seen["SSH_TTY"]
    assert (seen["TEXTUAL_ANIMATIONS"], seen["TEXTUAL_FPS"]) == ("none", "20")
    assert b"48;5;" in terminal.output
    assert b"48;2;" not in terminal.output
    terminal.resize(120, 40)
    terminal.wait_for(lambda text: any(len(line) == 120 for line in text.splitlines()[30:]))
    terminal.press("escape")
    terminal.wait_for("stopped")
    copy_answer(terminal)
    terminal.wait_for("to the terminal's clipboard")
    copied = terminal.output.partition(b"\x1b]52;c;")[2].partition(b"\x07")[0]
    assert base64.b64decode(copied).decode() == saved_messages()[-1].content
    terminal.press("ctrl+q")
    assert terminal.wait_closed() == 0
    assert all(sequence in terminal.output for sequence in RESTORED)
    assert terminal.modes() == terminal.modes_at_start


def test_when_the_line_breaks_the_answer_is_kept_and_nothing_is_left_running(sshd: Sshd, terminal: Terminal) -> None:
    started = sshd.processes()
    assert runners(program(sshd).pid)[0] in started
    seen = terminal.text.count(PHRASE.strip())
    terminal.process.kill()
    assert psutil.wait_procs(started, timeout=20)[1] == []
    question, answer = saved_messages()
    assert question.content == "Begin"
    assert answer.content.count(PHRASE.strip()) >= seen
