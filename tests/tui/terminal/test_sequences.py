"""What is sent to the terminal beside the screen: the clipboard, notifications, ASCII in place of glyphs."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.color import Color
from textual.events import AppBlur

from ollama_engine.settings import Settings
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.terminal import attention, clipboard
from ollama_tui.terminal.colors import nearest
from ollama_tui.terminal.glyphs import ASCII
from ollama_tui.widgets.pane import Pane
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until, workstation

XTERM = {"TERM": "xterm-256color"}
IN_TMUX = {**XTERM, "TMUX": "/nowhere/tmux,1,0"}
IN_SCREEN = {"TERM": "screen", "STY": "1234.pts"}


async def test_a_copy_goes_to_the_terminals_clipboard_and_says_so(tmp_path: Path) -> None:
    sent: list[str] = []
    told = await clipboard.copy("naïve\x1b]52;c;x\x07", sent.append, XTERM, tmp_path / "copied.txt")
    (sequence,) = sent
    assert sequence.startswith("\x1b]52;c;")
    assert sequence.endswith("\x07")
    assert base64.b64decode(sequence[7:-1]).decode() == "naïve\x1b]52;c;x\x07"
    assert told == "Copied 14 characters to the terminal's clipboard."


async def test_what_is_too_long_or_has_no_clipboard_goes_to_a_file_of_ones_own(tmp_path: Path) -> None:
    sent: list[str] = []
    file = tmp_path / "cache" / "copied.txt"
    told = await clipboard.copy("é" * 50_000, sent.append, XTERM, file)
    assert sent == []
    assert file.read_text() == "é" * 50_000
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"50,000 characters to {file}" in told
    told = await clipboard.copy("short", sent.append, {"TERM": "linux"}, file)
    assert (sent, file.read_text()) == ([], "short")
    assert "no clipboard" in told


def test_a_multiplexer_gets_it_plain_and_wrapped() -> None:
    plain = clipboard.osc52(b"text", XTERM)
    assert clipboard.osc52(b"text", IN_TMUX) == f"{plain}\x1bPtmux;\x1b{plain}\x1b\\"
    long = clipboard.osc52(b"text" * 400, IN_SCREEN).removeprefix(clipboard.osc52(b"text" * 400, XTERM))
    chunks = long.split("\x1b\\")
    assert all(chunk.startswith("\x1bP") and len(chunk) <= 768 for chunk in chunks[:-1])
    assert "".join(chunk[2:] for chunk in chunks) == clipboard.osc52(b"text" * 400, XTERM)


@given(st.text(), st.text(), st.sampled_from([XTERM, {"TERM": "xterm-kitty"}, {"LC_TERMINAL": "iTerm2"}]))
def test_a_notification_holds_no_sequence_of_the_text_in_it(title: str, text: str, environ: dict[str, str]) -> None:
    sent = attention.call(title, text, environ)
    frame = attention.call("t", "b", environ)
    for control in ("\x1b", "\x07", "\x9c", "\x9d", "\x9b", "\n"):
        assert sent.count(control) == frame.count(control)
    if environ is XTERM:
        assert sent.count(";") == frame.count(";")
    assert len(sent) < 500


def test_each_terminal_gets_the_notification_that_it_knows() -> None:
    assert attention.call("Pulled", "a; b", XTERM) == "\x1b]777;notify;Pulled;a, b\x1b\\\x07"
    assert attention.call("", "b", {"TERM": "xterm-kitty"}).startswith("\x1b]99;i=ollama-tui:d=0;ollama-tui\x1b\\")
    assert attention.call("t", "b", {"LC_TERMINAL": "iTerm2"}) == "\x1b]9;t: b\x07\x07"
    assert attention.call("t", "b", {"TERM": "linux"}) == "\x07"
    assert attention.call("t", "b", IN_TMUX).startswith("\x1bPtmux;\x1b\x1b]777;")


def test_glyphs_have_ascii_as_wide_as_they_are() -> None:
    for code, ascii_ in ASCII.items():
        assert ascii_.isascii(), chr(code)
        assert cell_len(chr(code)) == len(ascii_), chr(code)


async def test_with_ascii_glyphs_every_pane_is_drawn_in_ascii(tmp_path: Path) -> None:
    app = Workstation(
        DemoEngine(),
        Settings(glyphs="ascii", tour=False),
        chats=ChatStore(tmp_path / "chats.db"),
        host_label="demo",
        machine_memory=lambda: 0,
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "bard:latest" in screen_text(app))
        for keys in (["2"], ["3"], ["5"], ["question_mark"], ["escape", "ctrl+p"], ["escape", "4"]):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            assert screen_text(app).isascii(), {c for c in screen_text(app) if not c.isascii()}


def test_a_slate_stays_a_slate_in_256_colours() -> None:
    for ground in ("#2e3440", "#3b4252", "#141519", "#26282f"):
        wanted, shown = (
            Color.parse(ground),
            Color.from_rich_color(nearest(Color.parse(ground).rich_color.get_truecolor())),
        )
        assert max(abs(a - b) for a, b in zip(wanted.rgb, shown.rgb, strict=True)) <= 24, (ground, shown)


async def test_who_looks_elsewhere_is_called_and_who_looks_here_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    for name in ("TMUX", "STY", "KITTY_WINDOW_ID", "TERM_PROGRAM", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        assert app._driver is not None
        monkeypatch.setattr(app._driver, "write", sent.append)
        pane = app.query_one(Pane)
        pane.announce("done", title="Pulled")
        assert sent == []
        app.post_message(AppBlur())
        await until(pilot, lambda: not app.app_focus)
        pane.announce("[/b]\x1b]0;owned\x07", title="Pulled")
        assert sent == ["\x1b]777;notify;Pulled;[/b]␛]0,owned␇\x1b\\\x07"]
        await until(pilot, lambda: notices(app) == ["done", "[/b]␛]0;owned␇"])
        monkeypatch.undo()
