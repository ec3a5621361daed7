"""How far away a terminal is and what it can show, told from its environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ollama_tui.terminal.profile import Profile

SSH = {"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}


def detected(environ: Mapping[str, str], *, ssh: str = "auto", tmux: str | None = None) -> Profile:
    return Profile.detect(environ, ssh=ssh, ask_tmux=lambda name: tmux)


@pytest.mark.parametrize(
    ("environ", "ssh", "tmux", "remote"),
    [
        ({}, "auto", None, False),
        (SSH, "auto", None, True),
        ({"SSH_TTY": "/dev/pts/3"}, "auto", None, True),
        (SSH, "off", None, False),
        ({}, "on", None, True),
        # In tmux the variable is that of when the window was opened; tmux knows who is attached now.
        ({**SSH, "TMUX": "/tmp/tmux"}, "auto", "", False),
        ({"TMUX": "/tmp/tmux"}, "auto", SSH["SSH_CONNECTION"], True),
        ({**SSH, "TMUX": "/tmp/tmux"}, "auto", None, True),
    ],
)
def test_a_terminal_over_ssh(environ: dict[str, str], ssh: str, tmux: str | None, remote: bool) -> None:
    assert detected(environ, ssh=ssh, tmux=tmux).remote is remote


@pytest.mark.parametrize(
    ("term", "colorterm", "colors"),
    [
        ("xterm-256color", "truecolor", "truecolor"),
        ("xterm-256color", "", "256"),
        ("tmux-256color", "", "256"),
        ("xterm-kitty", "", "truecolor"),
        ("alacritty", "", "truecolor"),
        ("foot", "", "truecolor"),
        ("xterm-direct", "", "truecolor"),
        ("linux", "", "16"),
        ("screen", "", "16"),
        ("vt220", "", "16"),
    ],
)
def test_colours_of_a_terminal(term: str, colorterm: str, colors: str) -> None:
    environ = {"TERM": term, "COLORTERM": colorterm}
    assert detected(environ).colors == colors
    assert detected({**environ, **SSH}).colors == ("256" if colors == "truecolor" else colors)


def test_a_line_is_spared_and_what_the_user_has_set_stays() -> None:
    environ = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **SSH}
    wanted = {
        "TEXTUAL_FPS": "20",
        "TEXTUAL_ANIMATIONS": "none",
        "TEXTUAL_SMOOTH_SCROLL": "0",
        "TEXTUAL_COLOR_SYSTEM": "256",
    }
    profile = detected(environ)
    assert profile.environment(environ) == wanted
    assert "TEXTUAL_FPS" not in profile.environment({**environ, "TEXTUAL_FPS": "60"})
    assert detected(environ, ssh="off").environment(environ) == {"TEXTUAL_COLOR_SYSTEM": "truecolor"}
