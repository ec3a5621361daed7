"""The conversation on a real terminal: what a model says is text to it, and what it scrolls by itself is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command_line import silent_port
from tests.support.demo_engine import DemoEngine
from tests.support.gguf_models import scripted_model
from tests.support.live_server import engine_in_thread
from tests.support.real_program import PROGRAM, create, environment, paint_again
from tests.support.terminal import Terminal

HOSTILE = [
    "\x1b]52;c;aGk=\x07",
    "\x1b[2J\x1b[H\x1b[31mred",
    "\x9b31m",
    "\x1bP+q544e\x1b\\",
    "\x00\x08\x7f",
    "\u202egnp.exe",
    "&#27;[31m &#x9b;2J",
]


@contextmanager
def talking(engine: DemoEngine, *, lines: int = 24) -> Iterator[Terminal]:
    """The workstation on a server of `engine`, in a new conversation."""
    with (
        engine_in_thread(engine) as server,
        Terminal(PROGRAM, environment(server.address.url), lines=lines) as terminal,
    ):
        terminal.wait_for("llama3.1:8b")
        terminal.press("4")
        terminal.wait_for("Ask something")
        yield terminal
        terminal.press("ctrl+q")
        assert terminal.wait_closed() == 0


def attacks_in(sent: bytes | bytearray) -> list[str]:
    """What of HOSTILE has reached the terminal."""
    attacks = ("\x1b]52", "\x1b]0;", "\x07", "\x9b", "\x1bP", "\u202e", "\x7f", "\x08", "\x00", "\x1b[2J", "\x1b[31m")
    return [attack for attack in attacks if attack in sent.decode()]


def test_what_a_model_says_is_never_obeyed_by_the_terminal(home: Path) -> None:
    """In a paragraph, in code, in a table, in a link, in its thinking, and while it streams."""
    inside = "\n\n".join(
        [
            *(f"p {one} [/b] [red]x[/] <b>" for one in HOSTILE),
            *(f"```{one}\n{one}\n```" for one in HOSTILE),
            "| a |\n|---|\n" + "\n".join(f"| {one} |" for one in HOSTILE),
            *(f"[{one}](http://x.y/{one}) `{one}` ![{one}]({one})" for one in HOSTILE),
            "日本語 e\u0301 שלום the end",
        ]
    )
    with talking(DemoEngine(answer=inside, thinking="so \x1b]0;owned\x07 it is", pace=0.002), lines=50) as terminal:
        at_start = len(terminal.output)
        terminal.type("say it")
        terminal.press("enter")
        terminal.wait_for("42.0 tok/s")
        assert "␛]52;c;aGk=␇" in terminal.wait_for("the end")
        assert not attacks_in(terminal.output[at_start:])
        paint_again(terminal)


def test_what_a_real_model_writes_is_text_to_the_terminal(home: Path, tmp_path: Path) -> None:
    """Bytes of llama.cpp, cut anywhere: wide, combining, right-to-left characters, markup, what terminals obey."""
    text = "[/b] [red]日本語[/] e\u0301 שלום\n\n" + "\n\n".join(f"p {one}" for one in HOSTILE[:6]) + "\n\nthe end"
    with silent_port() as port:
        env = environment(f"127.0.0.1:{port}")
        create("hostile", scripted_model(tmp_path / "hostile.gguf", text), env)
        with Terminal([*PROGRAM, "chat", "hostile"], env) as terminal:
            terminal.wait_for("Ask something")
            at_start = len(terminal.output)
            terminal.type("say it")
            terminal.press("enter")
            terminal.wait_for("the end")
            shown = terminal.wait_for("tok/s")
            for words in (
                "[/b] [red]日本語[/] é שלום",
                "p ␛]52;c;aGk=␇",
                "p ␛[2J␛[H␛[31mred",
                "p ␀␈␡",
                "p \\u202egnp.exe",
            ):
                assert words in shown
            assert not attacks_in(terminal.output[at_start:])


def test_a_megabyte_on_one_line_is_shown_as_it_comes_and_can_be_read(home: Path) -> None:
    words = [f"{'x' * 9990}{number:09}" for number in range(100)]
    with talking(DemoEngine(answer=" ".join(words))) as terminal:
        at_start = len(terminal.output)
        terminal.type("say it")
        terminal.press("enter")
        terminal.wait_for("42.0 tok/s")
        assert len(terminal.output) - at_start < 200_000
        terminal.wait_for(lambda text: words[-1][-70:] in text.replace("\n  ", ""))
        terminal.type("it listens")
        terminal.wait_for("it listens")
        terminal.press("\x1b[5~")  # page up
        terminal.wait_for(lambda text: words[-1][-20:] not in text.replace("\n  ", ""))
        paint_again(terminal)


def test_what_the_terminal_scrolled_is_what_a_new_painting_shows(home: Path) -> None:
    answer = "\n\n".join(f"line {number} 日本語 **bold** and more" for number in range(60)) + "\n\nthe end"
    with talking(DemoEngine(answer=answer, pace=0.008)) as terminal:
        terminal.type("count")
        terminal.press("enter")
        terminal.wait_for("42.0 tok/s")
        assert "the end" in terminal.text
        assert b"M\x1b[r" in terminal.output, "the terminal was never asked to scroll"
        paint_again(terminal)
        for key, shown in (("\x1b[5~", "line 51"), ("\x1b[5~", "line 42"), ("\x1b[6~", "line 51")):
            terminal.press(key)
            terminal.wait_for(shown)
            paint_again(terminal)
        terminal.press("\x1b[1;5F")  # ctrl+end
        terminal.wait_for("the end")


def test_a_word_costs_few_bytes(home: Path) -> None:
    """50 words a second in a full pane that scrolls: 1.8 kB each where a pane is sent whole."""
    words = [f"word{number}" for number in range(150)]
    answer = "\n\n".join(f"before {number}" for number in range(30)) + "\n\n" + " ".join(words)
    with talking(DemoEngine(answer=answer, pace=0.02)) as terminal:
        terminal.type("count")
        terminal.press("enter")
        terminal.wait_for("word0 ")
        before = len(terminal.output)
        terminal.wait_for("word149")
        assert (len(terminal.output) - before) / len(words) < 400
