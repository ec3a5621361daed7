"""A tmux of the test's own: its socket, its configuration, a window with a shell, and what is written in it.

    with Tmux(folder, env) as tmux, tmux.attached() as client:
        tmux.run("ollama-tui")
        client.wait_for("Library")

No other tmux server is touched, and this one is gone at the end; so must be what was started in it.
"""

from __future__ import annotations

import shlex
import subprocess
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.terminal import TIMEOUT, Terminal

PROMPT = "shell>"


class Tmux:
    """`term` is what TERM is in the window; the status line is off, so that a client shows the window alone."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, term: str = "tmux-256color") -> None:
        self._server = ["tmux", "-S", str(folder / "socket")]
        self._written = folder / "written"
        self._env = {name: value for name, value in env.items() if name not in ("COLORTERM", "ENV")}
        config = folder / "tmux.conf"
        config.write_text(f"set -g default-terminal {term}\nset -g default-shell /bin/sh\nset -g status off\n")
        self._start = ["-f", str(config), "new-session", "-d", "-x", "80", "-y", "24", "exec sh"]

    def __enter__(self) -> Self:
        subprocess.run([*self._server, *self._start], env={**self._env, "PS1": f"{PROMPT} "}, check=True)
        self.tell("pipe-pane", "-O", f"exec cat > {shlex.quote(str(self._written))}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        shell = self.shell
        left = [shell, *shell.children(recursive=True)]
        self.tell("kill-server")
        outlived = psutil.wait_procs(left, timeout=20)[1]
        for process in outlived:
            process.kill()
        assert not outlived, f"without their terminal these went on: {outlived}"

    def tell(self, *command: str) -> str:
        """Run one of tmux's commands; what it prints."""
        told = subprocess.run([*self._server, *command], env=self._env, check=True, capture_output=True, text=True)
        return told.stdout

    def attached(self, *, columns: int = 80, lines: int = 24) -> Terminal:
        """A terminal of 256 colours that shows the window."""
        client = [*self._server, "-u", "attach-session"]
        return Terminal(client, self._env, columns=columns, lines=lines, colorterm="")

    def run(self, *command: str) -> None:
        """Type a command into the shell."""
        self.tell("send-keys", "-l", shlex.join(command))
        self.tell("send-keys", "Enter")

    def asked(self, *formats: str) -> list[str]:
        """What tmux knows of the window: `asked("cursor_flag")`."""
        return self.tell("display-message", "-p", "\n".join(f"#{{{one}}}" for one in formats)).splitlines()

    @property
    def shell(self) -> psutil.Process:
        return psutil.Process(int(self.asked("pane_pid")[0]))

    @property
    def shown(self) -> str:
        """What the window shows now, whether or not anybody is attached; accents as a Terminal's text has them."""
        shown = unicodedata.normalize("NFC", self.tell("capture-pane", "-p"))
        return "\n".join(line.rstrip() for line in shown.splitlines())

    @property
    def written(self) -> bytes:
        """Every byte that was written in the window."""
        return self._written.read_bytes()

    def wait_for(self, wanted: str, timeout: float = TIMEOUT) -> str:
        """Wait until the window shows `wanted`; AssertionError with what it shows."""
        deadline = time.monotonic() + timeout
        while wanted not in (shown := self.shown):
            assert time.monotonic() < deadline, f"the window never showed {wanted!r}:\n{shown}"
            time.sleep(0.05)
        return shown

    def program(self, command: Sequence[str]) -> psutil.Process:
        """The program that the shell runs."""
        (found,) = [child for child in self.shell.children() if child.cmdline()[: len(command)] == list(command)]
        return found
