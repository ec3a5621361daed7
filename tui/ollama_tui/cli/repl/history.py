"""What was typed at the prompt, on the disk for the next time: readable by nobody else, and not without end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs
from prompt_toolkit.history import FileHistory

from ollama_engine.settings import APP
from ollama_engine.store.files import replace_durably

KEPT = 1000
"""Entries; twice as many are cut back to so many."""


def history_file() -> Path:
    return Path(platformdirs.user_state_dir(APP)) / "history"


class PrivateHistory(FileHistory):
    """prompt_toolkit's history file, mode 0600, bounded; what is typed while `enabled` is false is not kept at all.

    A file that cannot be read or written is told of once through `complain`; the prompt works without.
    """

    def __init__(self, path: Path, *, enabled: bool, complain: Callable[[str], None]) -> None:
        super().__init__(str(path))
        self.enabled = enabled
        self._path = path
        self._complain = complain
        self._broken = False

    def load_history_strings(self) -> Iterable[str]:
        try:
            newest_first = list(super().load_history_strings())
            if len(newest_first) > 2 * KEPT:
                del newest_first[KEPT:]
                self._rewrite(newest_first)
        except OSError as error:
            self._give_up("read", error)
            return []
        return newest_first

    def append_string(self, string: str) -> None:
        if self.enabled:
            super().append_string(string)

    def store_string(self, string: str) -> None:
        if self._broken:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
            super().store_string(string)
        except OSError as error:
            self._give_up("write", error)

    def _rewrite(self, newest_first: list[str]) -> None:
        entries = ("".join(f"+{line}\n" for line in entry.split("\n")) for entry in reversed(newest_first))
        replace_durably(self._path, "\n".join(entries).encode(errors="replace"), prefix=".history-", mode=0o600)

    def _give_up(self, doing: str, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            self._complain(f"cannot {doing} the history in {self._path}: {error.strerror or error}")
