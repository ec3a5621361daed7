"""What a terminal can do and how far away it is, told from the environment before Textual is imported.

Textual and Rich read the environment once, when they are imported: `Profile.environment` is what must stand in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

Colors = Literal["16", "256", "truecolor"]

FRAMES_OVER_SSH = 20
"""Frames a second over a line: a key is echoed within 50 ms, and a stream is no flood."""

_TRUECOLOR_TERMS = (
    "kitty",
    "ghostty",
    "alacritty",
    "foot",
    "wezterm",
    "contour",
    "rio",
    "iterm",
    "-direct",
    "truecolor",
)
"""Names of terminals in TERM that show all colours. OpenSSH does not forward COLORTERM, which would say so."""
_RICH_NAMES: Mapping[Colors, str] = {"16": "standard", "256": "256", "truecolor": "truecolor"}


@dataclass(frozen=True)
class Profile:
    """How to draw here.

    `remote`: the terminal is at the other end of a line, so that bytes count.
    """

    remote: bool
    colors: Colors

    @classmethod
    def detect(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        ssh: str = "auto",
        ask_tmux: Callable[[str], str | None] | None = None,
    ) -> Profile:
        """Args:
        ssh: `on` and `off` say whether the terminal is remote; `auto` finds it out.
        ask_tmux: a variable of the tmux session that is attached now; for tests.
        """
        remote = {"on": True, "off": False}.get(ssh)
        if remote is None:
            remote = is_remote(environ, ask_tmux or tmux_variable)
        colors = colors_of(environ)
        # All colours cost half as many bytes again as 256, and look nearly the same.
        return cls(remote, "256" if remote and colors == "truecolor" else colors)

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Variables for Textual and Rich. What the user has set stays."""
        wanted = {"TEXTUAL_COLOR_SYSTEM": _RICH_NAMES[self.colors]}
        if self.remote:
            wanted |= {
                "TEXTUAL_FPS": str(FRAMES_OVER_SSH),
                "TEXTUAL_ANIMATIONS": "none",
                "TEXTUAL_SMOOTH_SCROLL": "0",
            }
        return {name: value for name, value in wanted.items() if name not in environ}


def is_remote(environ: Mapping[str, str], ask_tmux: Callable[[str], str | None]) -> bool:
    """Whether the terminal comes over SSH or mosh, which begins as SSH.

    Inside tmux the variables are those of when the window was opened; tmux knows those of who is attached now.
    """
    if environ.get("TMUX"):
        attached = ask_tmux("SSH_CONNECTION")
        if attached is not None:
            return bool(attached)
    return any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))


def tmux_variable(name: str) -> str | None:
    """A variable of the attached tmux session; "" where it is taken away there, None where tmux does not say."""
    with suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            ["tmux", "show-environment", name], capture_output=True, text=True, timeout=1, check=False
        )
        line = asked.stdout.strip()
        if asked.returncode == 0 and line:
            return "" if line.startswith("-") else line.partition("=")[2]
    return None


def colors_of(environ: Mapping[str, str]) -> Colors:
    """How many colours the terminal shows, by COLORTERM, else by TERM."""
    term = environ.get("TERM", "").strip().lower()
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    if any(name in term for name in _TRUECOLOR_TERMS):
        return "truecolor"
    if "256" in term or term.startswith("tmux") or environ.get("COLORTERM") or environ.get("WT_SESSION"):
        return "256"
    return "16" if term else "256"
