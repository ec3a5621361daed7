"""The real program in a real tmux: colours, sizes, leaving and coming back, signals, and the clipboard."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import silent_port
from tests.support.demo_engine import DemoEngine
from tests.support.live_server import EngineThread, engine_in_thread
from tests.support.real_program import PROGRAM, ask, copy_answer, environment, paint_again
from tests.support.terminal import Terminal
from tests.support.tmux import PROMPT, Tmux

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

WORDS = [f"word{number}" for number in range(200)]
MIXED = "\n\n".join(f"line {number} 日本語 e\u0301 **bold** and more" for number in range(40)) + "\n\nthe end"
MODES = ("alternate_on", "cursor_flag", "mouse_any_flag", "mouse_sgr_flag", "keypad_cursor_flag", "wrap_flag")
OF_A_SHELL = ["0", "1", "0", "0", "0", "1"]
TRUE_COLOURS = (b"38;2;", b"48;2;")


@contextmanager
def in_tmux(folder: Path, host: str, *, term: str = "tmux-256color") -> Iterator[tuple[Tmux, Terminal]]:
    """A shell in tmux, and a client that is attached to it."""
    with Tmux(folder, environment(host), term=term) as tmux, tmux.attached() as client:
        client.wait_for(PROMPT)
        yield tmux, client


@contextmanager
def talking(folder: Path, engine: DemoEngine) -> Iterator[tuple[Tmux, Terminal, EngineThread]]:
    """The program in tmux on a server of `engine`, a question just asked."""
    with engine_in_thread(engine) as server, in_tmux(folder, server.address.url) as (tmux, client):
        tmux.run(*PROGRAM)
        client.wait_for("llama3.1:8b")
        ask(client, "Say it")
        yield tmux, client, server


@pytest.mark.parametrize("term", ["tmux-256color", "screen-256color"])
def test_no_other_than_the_256_colours_are_sent(term: str, tmp_path: Path) -> None:
    with silent_port() as port, in_tmux(tmp_path, f"127.0.0.1:{port}", term=term) as (tmux, client):
        tmux.run(*PROGRAM)
        client.wait_for("bard:latest")
        client.press("4")
        client.wait_for("Ask something")
        client.press("ctrl+q")
        client.wait_for(PROMPT)
        assert b"38;5;" in tmux.written
        assert b"48;5;" in tmux.written
        assert not [colour for colour in TRUE_COLOURS if colour in tmux.written or colour in client.output]


def test_the_window_changes_its_size_while_an_answer_comes(tmp_path: Path) -> None:
    engine = DemoEngine(answer=" ".join(WORDS))
    engine.gate = asyncio.Semaphore(60)
    with talking(tmp_path, engine) as (_, client, server):
        client.wait_for("word59")
        for columns, lines, last in ((120, 40, 120), (44, 16, 199)):
            client.resize(columns, lines)
            client.wait_for(lambda text, width=columns: any(len(line) == width for line in text.splitlines()))
            release(server, engine, last - 59 if last == 120 else 79)
            client.wait_for(f"word{last}")
        client.wait_for("42.0 tok/s")
        client.resize(120, 40)
        client.wait_for(lambda text: all(word in text.split() for word in WORDS))
        paint_again(client)


@pytest.mark.parametrize("how", ["detached", "the connection drops"])
def test_an_answer_goes_on_while_nobody_is_attached_and_the_screen_is_whole_again(how: str, tmp_path: Path) -> None:
    engine = DemoEngine(answer=MIXED)
    engine.gate = asyncio.Semaphore(40)
    with talking(tmp_path, engine) as (tmux, client, server):
        client.wait_for("line 5 ")
        if how == "detached":
            tmux.tell("detach-client")
        else:
            client.process.kill()
        client.process.wait(10)
        assert tmux.asked("session_attached") == ["0"]
        release(server, engine, 1000)
        tmux.wait_for("42.0 tok/s")
        with tmux.attached() as again:
            again.wait_for("the end")
            assert again.wait_quiet() == tmux.shown
            paint_again(again)
        with tmux.attached(columns=110, lines=30) as other:
            other.wait_for(lambda text: any(len(line) == 110 for line in text.splitlines()) and "the end" in text)
            paint_again(other)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_shell_its_terminal_back(number: signal.Signals, tmp_path: Path) -> None:
    engine = DemoEngine(answer=" ".join(WORDS))
    engine.gate = asyncio.Semaphore(20)
    with talking(tmp_path, engine) as (tmux, client, _):
        client.wait_for("word19")
        assert tmux.asked(*MODES) != OF_A_SHELL
        program = tmux.program(PROGRAM)
        program.send_signal(number)
        program.wait(20)
        client.wait_for(lambda text: PROMPT in text and "word19" not in text)
        assert_shell_has_its_terminal(tmux, client)


def test_stopped_and_continued_it_is_whole_again_and_leaves_the_shell_its_terminal(tmp_path: Path) -> None:
    with talking(tmp_path, DemoEngine(answer=MIXED)) as (tmux, client, _):
        client.wait_for("42.0 tok/s")
        shown = client.wait_quiet()
        program = tmux.program(PROGRAM)
        program.suspend()
        client.wait_for("Stopped")
        client.type("fg\n")  # no carriage return: the terminal is still as the program had it
        client.wait_for(lambda text: "the end" in text and "Stopped" not in text)
        assert client.wait_quiet() == shown
        paint_again(client)
        client.press("ctrl+q")
        program.wait(20)
        assert_shell_has_its_terminal(tmux, client)


@pytest.mark.parametrize("way", ["tmux is asked", "around tmux"])
def test_a_copy_reaches_the_clipboard_of_the_terminal_outside(way: str, tmp_path: Path) -> None:
    answer = "naïve words ☕"
    coded = base64.b64encode(answer.encode())
    with engine_in_thread(DemoEngine(answer=answer)) as server, in_tmux(tmp_path, server.address.url) as (tmux, client):
        if way == "tmux is asked":
            tmux.run(*PROGRAM)
        else:  # it cannot be found: a wrapped sequence is left, where tmux lets that pass
            tmux.tell("set-option", "-g", "allow-passthrough", "on")
            tmux.run("env", "PATH=/nowhere", *PROGRAM)
        client.wait_for("llama3.1:8b")
        ask(client, "Say it")
        client.wait_for("42.0 tok/s")
        copy_answer(client)
        client.wait_for("Copied 13 characters")
        clipboard = b"" if way == "tmux is asked" else b"c"  # tmux names none, which means the first there is
        client.wait_until(lambda: b"\x1b]52;%b;%b\x07" % (clipboard, coded) in client.output)
        assert tmux.tell("list-buffers", "-F", "#{buffer_sample}") == (f"{answer}\n" if way == "tmux is asked" else "")
        if way == "tmux is asked":
            assert tmux.tell("show-buffer") == answer


def release(server: EngineThread, engine: DemoEngine, pieces: int) -> None:
    """Let the engine say so many more pieces."""
    gate = engine.gate
    assert gate is not None
    for _ in range(pieces):
        server.call(gate.release)


def assert_shell_has_its_terminal(tmux: Tmux, client: Terminal) -> None:
    assert tmux.asked(*MODES) == OF_A_SHELL
    for switched_on, off in ((b"?2004h", b"?2004l"), (b"?1004h", b"?1004l"), (b"?1003h", b"?1003l")):
        assert tmux.written.rfind(off) > tmux.written.rfind(switched_on)
    client.type("stty -a; echo still-$((40+2))\r")
    shown = client.wait_for("still-42")
    assert {"icanon", "echo", "isig", "icrnl", "opost"} <= set(shown.split()), shown
