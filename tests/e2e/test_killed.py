"""`kill -9` of the real program while an answer comes: what was on the screen a second before is not lost."""

from __future__ import annotations

import re
import time
from pathlib import Path

from tests.support.command_line import silent_port
from tests.support.demo_engine import DemoEngine
from tests.support.gguf_models import looping_model
from tests.support.live_server import engine_in_thread
from tests.support.real_program import PROGRAM, ask, create, environment, runners, saved_messages
from tests.support.terminal import Terminal

FRAMES = 8
"""What the program draws of an answer in a second at most: fewer have come where it had less time than that."""


def test_a_kill_loses_at_most_the_last_second_of_an_answer(home: Path) -> None:
    engine = DemoEngine(answer=" ".join(f"word{number}" for number in range(5000)), pace=0.02)
    with engine_in_thread(engine) as server:
        with Terminal(PROGRAM, environment(server.address.url)) as terminal:
            terminal.wait_for("llama3.1:8b")
            ask(terminal, "Count")
            terminal.wait_for("word30 ")
            seen = last_word(terminal.text)
            a_second_passes(terminal)
            terminal.process.kill()
            terminal.process.wait()
        question, answer = saved_messages()
        assert (question.content, answer.status) == ("Count", "streaming")
        assert last_word(answer.content) >= seen
        with Terminal(PROGRAM, environment(server.address.url)) as terminal:
            terminal.wait_for("llama3.1:8b")
            terminal.press("4")
            shown = terminal.wait_for("interrupted")
            assert last_word(shown) == last_word(answer.content)
            terminal.press("ctrl+q")
            assert terminal.wait_closed() == 0


def test_the_runner_ends_with_the_program_that_was_killed(home: Path, tmp_path: Path) -> None:
    with silent_port() as port:
        env = environment(f"127.0.0.1:{port}")
        create("endless", looping_model(tmp_path / "endless.gguf", "and on it goes, "), env)
        with Terminal([*PROGRAM, "chat", "endless"], env) as terminal:
            terminal.wait_for("Ask something")
            terminal.type("Begin")
            terminal.press("enter")
            terminal.wait_for("and on it goes, and on it goes")
            (runner,) = runners(terminal.process.pid)
            terminal.process.kill()
            terminal.process.wait()
            runner.wait(20)


def last_word(text: str) -> int:
    return max(map(int, re.findall(r"word(\d+)", text)))


def a_second_passes(terminal: Terminal) -> None:
    """For the program too: it may have been given less time than the clock says."""
    over = time.monotonic() + 1.0
    frames: set[str] = set()

    def passed() -> bool:
        frames.add(terminal.text)
        return time.monotonic() >= over and len(frames) > FRAMES

    terminal.wait_until(passed)
