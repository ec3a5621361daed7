"""Files to send along: which path was pasted, what kind of file it is, and whether the model can take it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ollama_engine.errors import InvalidRequest
from ollama_engine.types import ModelSummary
from ollama_tui.attachments import MAX_FILE
from ollama_tui.chats import Attachment
from ollama_tui.chats.records import AttachmentKind
from ollama_tui.paths import typed_path

_KINDS: dict[str, AttachmentKind] = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".gif"), "image"),
    **dict.fromkeys((".wav", ".mp3", ".flac"), "audio"),
}
MAX_TEXT = 1024 * 1024
"""Bytes of a text file: more would fit no context."""
_NEEDS = {"image": ("vision", "sees no images"), "audio": ("audio", "hears no sounds")}


def pasted_paths(text: str) -> list[Path]:
    """The files that a paste names, as terminals write one that is dragged onto them; none where it says more."""
    paths = [_path(line.strip()) for line in text.strip().splitlines() if line.strip()]
    found = [path for path in paths if path is not None]
    return found if len(found) == len(paths) else []


def _path(text: str) -> Path | None:
    """The file that `text` is the path of: absolute, at home or relative with a dot, so that a word is never one."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    elif text.startswith("file://"):
        url = urlsplit(text)
        text = unquote(url.path) if url.netloc in ("", "localhost") else ""
    if not text.startswith(("/", "~/", "./", "../")):
        return None
    for name in (text, re.sub(r"\\(.)", r"\1", text)):
        try:
            path = typed_path(name)
            if path.is_file():
                return path
        except (OSError, RuntimeError, ValueError):
            continue  # no path that could exist
    return None


def read_attachment(path: Path) -> tuple[Attachment, bytes]:
    """A file as something to send along; InvalidRequest where it cannot be. Reads the disk."""
    kind = _KINDS.get(path.suffix.lower(), "text")
    most = MAX_TEXT if kind == "text" else MAX_FILE
    try:
        size = path.stat().st_size
        if size > most:
            raise InvalidRequest(f"{path.name} has {size:,} bytes; it may have {most:,}")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}", hint="Check the path.") from error
    if kind == "text" and (b"\0" in data or not _is_text(data)):
        raise InvalidRequest(
            f"{path.name} is no text, image or sound", hint="Of other files, the text has to be taken out first."
        )
    return Attachment(path.name, kind, len(data)), data


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def check_file(text: str) -> str:
    """What is wrong with a path as it is typed, in words; "" where a file is there. Asks the disk."""
    try:
        return "" if typed_path(text).is_file() else "There is no file of this name."
    except (OSError, ValueError) as error:
        return f"This is no path: {error}."


def check_capability(attachment: Attachment, model: ModelSummary | None) -> None:
    """InvalidRequest where the model is known to take no such file."""
    if model is None or not model.capabilities or attachment.kind == "text":
        return
    capability, lacks = _NEEDS[attachment.kind]
    if capability not in model.capabilities:
        raise InvalidRequest(f"{model.name} {lacks}", hint=f"Choose a model with {capability} first.")
