"""Copies go to the clipboard of the terminal that one sits at, also over SSH (OSC 52), and say where they went.

tmux is asked to do it, which its defaults allow; what is too long, or meets a terminal that has no clipboard, goes to a
file. Nothing is ever read from a clipboard.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs

from ollama_engine.settings import APP
from ollama_tui.terminal.passthrough import through

MOST_BYTES = 74_994
"""As much as terminals take: 100,000 bytes of base64."""
_NO_CLIPBOARD = ("linux", "dumb", "vt100", "vt102", "vt220")


def default_file() -> Path:
    return Path(platformdirs.user_cache_dir(APP)) / "copied.txt"


async def copy(text: str, write: Callable[[str], object], environ: Mapping[str, str], file: Path) -> str:
    """Copy `text`; the answer says where it went, in a sentence.

    Args:
        write: sends an escape sequence to the terminal.
        file: where it goes if the terminal cannot take it.

    Raises:
        OSError: the file cannot be written.
    """
    data = text.encode("utf-8", "replace")
    count = f"{len(text):,} character{'s' if len(text) != 1 else ''}"
    if len(data) > MOST_BYTES:
        await asyncio.to_thread(_to_file, data, file)
        return f"Copied {count} to {file}: too long for a terminal's clipboard."
    if environ.get("TMUX") and await _to_tmux(data):
        return f"Copied {count} to the clipboard and to tmux's buffer."
    if environ.get("TERM", "") in _NO_CLIPBOARD or environ.get("TERM_PROGRAM") == "Apple_Terminal":
        await asyncio.to_thread(_to_file, data, file)
        return f"Copied {count} to {file}: this terminal has no clipboard for programs."
    write(osc52(data, environ))
    return f"Copied {count} to the terminal's clipboard."


def osc52(data: bytes, environ: Mapping[str, str]) -> str:
    """The sequence that sets the clipboard; twice where a multiplexer might take either form."""
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"
    wrapped = through(sequence, environ)
    return sequence if wrapped == sequence else sequence + wrapped


async def _to_tmux(data: bytes) -> bool:
    """Hand it to tmux, which keeps it and sets the clipboard of the terminals that are attached (-w)."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("tmux", "load-buffer", "-w", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(2):
            await process.communicate(data)
    except (OSError, TimeoutError):
        return False
    return process.returncode == 0


def _to_file(data: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
