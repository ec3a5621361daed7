"""`run MODEL` on a real terminal: talk, stop, paste, leave, and find what was typed again."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import termios
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ollama_engine.types import ChatRequest, PullRequest, TransferProgress
from tests.support.command_line import CommandLine, silent_port
from tests.support.gguf_models import scripted_model
from tests.support.live_server import EngineThread, engine_in_thread
from tests.support.scripted_engine import ScriptedEngine, said
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "ollama_tui"]
EMPTY = ">>> Send a message (/? for help)"


@contextmanager
def talking(
    home: Path, engine: ScriptedEngine, *arguments: str, model: str = "bard"
) -> Iterator[tuple[Terminal, EngineThread]]:
    """`run MODEL` on a server of `engine`, at its first prompt."""
    with engine_in_thread(engine) as server:
        environment = {**os.environ, "OLLAMA_HOST": server.address.url, "PYTHONUTF8": "1"}
        with Terminal([*PROGRAM, "run", model, *arguments], environment) as terminal:
            terminal.wait_for(EMPTY)
            yield terminal, server


def chats(engine: ScriptedEngine) -> list[list[str]]:
    """What was said in each request that asked something."""
    return [
        [message.content for message in request.messages]
        for request in engine.asked
        if isinstance(request, ChatRequest) and request.messages
    ]


def lines(terminal: Terminal) -> list[str]:
    return terminal.text.rstrip().split("\n")


def test_a_conversation_to_the_character(home: Path) -> None:
    engine = ScriptedEngine(["Good ", "morrow, ", "模型."])
    with talking(home, engine) as (terminal, _):
        terminal.type("Who goes there?\r")
        terminal.wait_for(lambda text: text.count("模型.") == 1 and EMPTY in text)
        terminal.type('"""two\rlines"""\r')
        terminal.wait_for(lambda text: text.count("模型.") == 2 and EMPTY in text)
        terminal.type("half a")
        terminal.press("ctrl+c")
        terminal.press("ctrl+c")
        terminal.wait_for("Use Ctrl + d or /bye to exit.")
        terminal.press("ctrl+d")
        assert terminal.wait_closed() == 0
        shown = lines(terminal)
    assert shown[-12:] == [
        ">>> Who goes there?",
        "Good morrow, 模型.",
        "",
        '>>> """two',
        '... lines"""',
        "Good morrow, 模型.",
        "",
        ">>> half a",
        ">>>",
        "",
        "Use Ctrl + d or /bye to exit.",
        ">>>",
    ]
    assert chats(engine)[1] == ["Who goes there?", "Good morrow, 模型.", "two\nlines"]


def test_ctrl_c_stops_the_answer_and_what_came_is_part_of_the_conversation(home: Path) -> None:
    engine = ScriptedEngine(["Once upon ", "a time"])
    engine.step = asyncio.Event()
    with talking(home, engine) as (terminal, server):
        terminal.type("Tell me.\r")
        terminal.wait_for("Once upon")
        terminal.press("ctrl+c")
        terminal.wait_for(EMPTY)
        asyncio.run_coroutine_threadsafe(engine.closed_early.wait(), server.loop).result(timeout=20)
        assert "a time" not in terminal.text
        server.call(lambda: setattr(engine, "step", None))
        terminal.type("Go on.\r")
        terminal.wait_for("a time")
        terminal.press("ctrl+d")
        assert terminal.wait_closed() == 0
    assert chats(engine)[1] == ["Tell me.", "Once upon ", "Go on."]


def test_what_is_typed_or_pasted_while_an_answer_comes_waits_for_the_prompt(home: Path) -> None:
    engine = ScriptedEngine(["Slowly ", "but surely"])
    engine.step = asyncio.Event()
    with talking(home, engine) as (terminal, server):
        terminal.type("One.\r")
        terminal.wait_for("Slowly")
        terminal.type("Two.\r\x1b[200~pasted\rlines\x1b[201~")
        server.call(engine.step.set)
        # The first answer, untouched by what was typed; then the second question, and its first word.
        terminal.wait_for(lambda text: text.count("Slowly") == 2)
        assert "Slowly but surely\n\n>>> Two.\n" in terminal.text
        server.call(engine.step.set)
        terminal.wait_for("... lines")
        terminal.press("enter")
        terminal.wait_for(lambda text: text.count("Slowly") == 3)
        server.call(engine.step.set)
        terminal.wait_for(EMPTY)
        terminal.press("ctrl+d")
        assert terminal.wait_closed() == 0
    assert [said[-1] for said in chats(engine)] == ["One.", "Two.", "pasted\nlines"]


def test_thinking_is_grey_and_apart(home: Path) -> None:
    engine = ScriptedEngine([said(thinking="Let me see."), said("Yes.")])
    with talking(home, engine) as (terminal, _):
        terminal.type("Well?\r")
        terminal.wait_for(lambda text: "Yes." in text and EMPTY in text)
        assert "Thinking...\nLet me see.\n...done thinking.\n\nYes.\n" in terminal.text
        assert b"\x1b[90mThinking...\r\n" in terminal.output
        terminal.press("ctrl+d")
        assert terminal.wait_closed() == 0


def test_what_was_typed_is_there_the_next_time_unless_that_is_not_wanted(home: Path) -> None:
    engine = ScriptedEngine(["Ay."])
    with talking(home, engine) as (terminal, _):
        terminal.type("Remember me\r")
        terminal.wait_for("Ay.")
        terminal.type("/set nohistory\r")
        terminal.wait_for("Set 'nohistory' mode.")
        terminal.type("Forget me\r")
        terminal.wait_for(lambda text: text.count("Ay.") == 2)
        terminal.type("/bye\r")
        assert terminal.wait_closed() == 0
    file = home / "state" / "ollama-tui" / "history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Forget me" not in file.read_text()
    with talking(home, engine) as (terminal, _):
        terminal.press("up")
        terminal.wait_for(">>> /set nohistory")
        terminal.press("up")
        terminal.wait_for(">>> Remember me")
        terminal.press("ctrl+c", "ctrl+d")
        assert terminal.wait_closed() == 0


@pytest.mark.parametrize("moment", ["at the prompt", "while an answer comes"])
def test_sigterm_puts_the_terminal_back(moment: str, home: Path) -> None:
    engine = ScriptedEngine(["Once upon ", "a time"])
    engine.step = asyncio.Event()
    with talking(home, engine) as (terminal, _):
        before = terminal.modes_at_start
        if moment != "at the prompt":
            terminal.type("Tell me.\r")
            terminal.wait_for("Once upon")
        terminal.process.terminate()
        assert terminal.wait_closed() == 143
        assert terminal.modes() == before
        assert before[3] & termios.ECHO


class PullingEngine(ScriptedEngine):
    """Has no model until one is pulled."""

    async def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        yield TransferProgress(status="pulling manifest")
        yield TransferProgress(status="pulling 1234", total=10, completed=10)
        self.names.append(f"{request.model}:latest")
        yield TransferProgress(status="success")


def test_a_model_that_is_missing_is_pulled_first(home: Path) -> None:
    with talking(home, PullingEngine(["Ay."]), model="distant") as (terminal, _):
        assert "pulling manifest\npulling 1234" in terminal.text
        terminal.type("Well?\r")
        terminal.wait_for("Ay.")
        terminal.press("ctrl+d")
        assert terminal.wait_closed() == 0


def test_on_the_model_itself_a_long_answer_is_wrapped_and_measured(tmp_path: Path) -> None:
    answer = "The quick brown fox jumps over the lazy dog, and then over another one, naïve café."
    scripted_model(tmp_path / "exact.gguf", answer)
    with silent_port() as port:
        here = CommandLine(tmp_path, f"127.0.0.1:{port}")
        (tmp_path / "Modelfile").write_text("FROM exact.gguf\nPARAMETER num_ctx 2048\n")
        assert here.run("create", "exact").returncode == 0
        with Terminal([*PROGRAM, "run", "exact", "--verbose"], here.environment, columns=40, lines=60) as terminal:
            terminal.wait_for(EMPTY)
            for count in (1, 2):
                terminal.type("Say it\r")
                terminal.wait_for(lambda text, count=count: text.count("eval rate:") == 2 * count and EMPTY in text)
                wrapped = "The quick brown fox jumps over the lazy\ndog, and then over another one, naïve\ncafé.\n\n"
                assert terminal.text.count(wrapped) == count
            terminal.type("/show parameters\r")
            terminal.wait_for("  num_ctx                        2048")
            terminal.press("ctrl+d")
            assert terminal.wait_closed() == 0
