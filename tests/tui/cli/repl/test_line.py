"""The prompt's keys, typed into a pipe: what each makes of the line."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from ollama_tui.cli.repl.line import LineInterrupted, LineReader, is_unclosed
from ollama_tui.slash import system_message, without_quotes

PASTE = "\x1b[200~{}\x1b[201~"
ENTER, CTRL_C, CTRL_D, CTRL_J = "\r", "\x03", "\x04", "\n"


class Keyboard:
    def __init__(self, input: PipeInput, history: list[str], editor: str = "") -> None:
        self._input = input
        self.reader = LineReader(
            InMemoryHistory(history), lambda: ["llama3.2", "llava"], editor=editor, input=input, output=DummyOutput()
        )

    async def types(self, keys: str) -> str:
        self._input.send_text(keys)
        return await self.reader.read()


@pytest.fixture
async def keyboard() -> AsyncIterator[Keyboard]:
    with create_pipe_input() as input:
        yield Keyboard(input, ["first", "second"])


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("hello", "hello"),
        ("hello\x01oh ", "oh hello"),  # ctrl+a
        ("ac\x02b\x05d", "abcd"),  # ctrl+b, ctrl+e
        ("one two\x1bb\x0b", "one "),  # alt+b, ctrl+k
        ("one two\x15three", "three"),  # ctrl+u
        ("one two\x17three", "one three"),  # ctrl+w
        ("one two\x1b\x7fthree", "one three"),  # alt+backspace
        ("one two\x01\x1bf!", "one! two"),  # ctrl+a, alt+f
        ("ab\x02\x04", "a"),  # ctrl+b, ctrl+d on a line with something
        ("a\tb", "a        b"),
        (f"one{CTRL_J}two", "one\ntwo"),
        ("one\x1b\rtwo", "one\ntwo"),  # alt+enter
        ("\x1b[A", "second"),  # up
        ("\x10\x10", "first"),  # ctrl+p
        ("\x10\x10\x0e", "second"),  # ctrl+n
        ("\x12fir\r", "first"),  # ctrl+r
        ('"""one\rtwo\rthree"""', '"""one\ntwo\nthree"""'),
        ('/set system """one\rtwo"""', '/set system """one\ntwo"""'),
        (PASTE.format("one\r\ntwo\nthree"), "one\ntwo\nthree"),
        ("模型 naïve 👩‍💻", "模型 naïve 👩‍💻"),
    ],
)
async def test_keys(keys: str, line: str, keyboard: Keyboard) -> None:
    assert await keyboard.types(f"{keys}{ENTER}") == line


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("/lo\tllam\t", "/load llama3.2 "),
        ("/set ver\t", "/set verbose "),
        ("/set parameter temp\t", "/set parameter temperature "),
        ("/sh\tte\t", "/show template "),
    ],
)
async def test_tab_completes_what_begins_with_a_slash(keys: str, line: str, keyboard: Keyboard) -> None:
    assert await keyboard.types(f"{keys}{ENTER}") == line


async def test_what_is_typed_ahead_is_the_next_line(keyboard: Keyboard) -> None:
    assert await keyboard.types(f"one{ENTER}two{ENTER}thr") == "one"
    assert await keyboard.types("") == "two"
    assert await keyboard.types(f"ee{ENTER}") == "three"


async def test_ctrl_c_tells_whether_it_threw_anything_away(keyboard: Keyboard) -> None:
    with pytest.raises(LineInterrupted) as interrupted:
        await keyboard.types(CTRL_C)
    assert interrupted.value.empty
    with pytest.raises(LineInterrupted) as interrupted:
        await keyboard.types(f"half a{CTRL_C}")
    assert not interrupted.value.empty
    assert await keyboard.types(f"whole{ENTER}") == "whole"


async def test_ctrl_d_on_an_empty_line_is_the_end(keyboard: Keyboard) -> None:
    with pytest.raises(EOFError):
        await keyboard.types(CTRL_D)


async def test_ctrl_g_hands_the_line_to_an_editor(tmp_path: Path) -> None:
    script = tmp_path / "editor.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().upper() + 'MORE\\n')\n"
        "os.utime(path, (1, 1))\n"
    )
    with create_pipe_input() as input:
        keyboard = Keyboard(input, [], editor=f"{sys.executable} {script}")
        buffer = keyboard.reader._session.default_buffer

        def send_when_edited(_: object) -> None:
            if buffer.text == "ONE\nMORE":
                input.send_text(ENTER)

        buffer.on_text_changed += send_when_edited
        async with asyncio.timeout(10):
            assert await keyboard.types("one\x07") == "ONE\nMORE"


def test_three_quotes_are_open_until_a_line_ends_with_three() -> None:
    assert is_unclosed('"""')
    assert is_unclosed('"""one\ntwo')
    assert is_unclosed('/set system """one')
    assert not is_unclosed('"""one"""')
    assert not is_unclosed('"""one\ntwo"""  ')
    assert not is_unclosed('one """')
    assert without_quotes('"""one\n"two""""') == 'one\n"two"'
    assert without_quotes("one\n\n") == "one"
    assert system_message('/set  system """Be\nbrief."""') == "Be\nbrief."
    assert system_message("/set system Be brief. ") == "Be brief."
    assert system_message("/set system") == ""
