"""What was typed on the command line before, the newest last, kept in a file from one start to the next."""

from __future__ import annotations

from pathlib import Path

KEPT = 200


class CommandHistory:
    """`file` None keeps it in memory alone. A file that cannot be read or written is no reason to stop."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = self._read()
        return self._lines

    def add(self, line: str) -> None:
        """Remember a line as the newest; the same line before is forgotten."""
        kept = [one for one in self.lines if one != line][-(KEPT - 1) :]
        self._lines = [*kept, line]
        if self._file is not None:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_text("".join(f"{one}\n" for one in self._lines), encoding="utf-8")
            except OSError:
                self._file = None

    def beginning(self, text: str) -> list[str]:
        """The lines that begin with `text`, the newest first."""
        return [line for line in reversed(self.lines) if line.startswith(text)]

    def _read(self) -> list[str]:
        try:
            text = self._file.read_text(encoding="utf-8") if self._file is not None else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        return [line for line in text.splitlines() if line.strip()][-KEPT:]
