"""A notification of the desktop, and the bell, for somebody who looks elsewhere: what is awaited is done.

Sent to the terminal, so that they arrive over SSH as well: OSC 99 for kitty, OSC 9 for iTerm2, OSC 777 for the others;
terminals ignore what they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping

from ollama_tui.terminal.passthrough import through
from ollama_tui.text import one_line

BELL = "\x07"
MOST_TITLE, MOST_TEXT = 80, 240
_QUIET = ("linux", "dumb", "vt100", "vt102", "vt220")
"""Terminals that misread an OSC: they get the bell alone."""


def call(title: str, text: str, environ: Mapping[str, str]) -> str:
    """The sequences that tell `title` and `text`; neither can hold a sequence of its own."""
    title, text = _plain(title, MOST_TITLE) or "ollama-tui", _plain(text, MOST_TEXT)
    if environ.get("TERM", "") in _QUIET:
        return BELL
    return through(_notification(title, text, environ), environ) + BELL


def _notification(title: str, text: str, environ: Mapping[str, str]) -> str:
    if environ.get("KITTY_WINDOW_ID") or "kitty" in environ.get("TERM", ""):
        return f"\x1b]99;i=ollama-tui:d=0;{title}\x1b\\\x1b]99;i=ollama-tui:p=body;{text}\x1b\\"
    if environ.get("TERM_PROGRAM") == "iTerm.app" or environ.get("LC_TERMINAL") == "iTerm2":
        return f"\x1b]9;{title}: {text}\x07"
    # A semicolon would end the title.
    return f"\x1b]777;notify;{title.replace(';', ',')};{text.replace(';', ',')}\x1b\\"


def _plain(text: str, most: int) -> str:
    shown = one_line(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
