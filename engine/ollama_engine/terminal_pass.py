"""How a server knows the terminal of its own user: a secret in a file that only that user can read.

Whoever shows it goes before others (caller.py). An address of loopback alone says nothing: every program of the machine
has it, and so has a proxy that brings strangers. The server issues a pass for its port when it starts, and ours attach
it to their requests; a browser cannot read the file, nor may its pages send the header.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path

import platformdirs

from ollama_engine.settings import APP

log = logging.getLogger(__name__)

HEADER = "X-Ollama-TUI-Terminal"


def issue(port: int) -> str:
    """A new pass for the server at `port`, written for the user's terminals; empty where that cannot be."""
    path, text = _path(port), secrets.token_hex(32)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        partial.replace(path)
    except OSError as error:
        log.debug("terminals of this machine do not go first: %s", error)
        with contextlib.suppress(OSError):
            partial.unlink()
        return ""
    return text


def revoke(port: int, text: str) -> None:
    """Remove the pass at the server's end, unless another server has issued one since."""
    if text and read(port) == text:
        with contextlib.suppress(OSError):
            _path(port).unlink()


def read(port: int) -> str:
    """The pass of the server at that port of this machine; empty where there is none for us."""
    try:
        return _path(port).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _path(port: int) -> Path:
    return Path(platformdirs.user_state_dir(APP)) / "terminals" / str(port)
