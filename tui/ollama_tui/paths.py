"""Paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def typed_path(text: str) -> Path:
    """The path, `~` and `~name` spelt out; where nobody of that name is known the text stays, and names no file."""
    return Path(os.path.expanduser(text))  # Path.expanduser raises there


def shown_path(path: Path) -> str:
    """The path as people read it: `~` is the home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
