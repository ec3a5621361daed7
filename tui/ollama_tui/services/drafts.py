"""Modelfiles that are being written, in the state folder: they outlive the editor, a failure, and a crash."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import msgspec


@dataclass(frozen=True)
class Draft:
    """`edits` is the model in the store that it began as, "" for a new one; `name` what the result shall be called.

    `begun` is the text that the editor began with; `folder` is where relative paths in the text begin.
    """

    text: str
    begun: str
    folder: str
    edits: str = ""
    name: str = ""
    quantize: str = ""
    saved_at: float = 0.0

    @property
    def key(self) -> str:
        return f"edit {self.edits}" if self.edits else "new"

    @property
    def changed(self) -> bool:
        return self.text != self.begun or bool(self.quantize)


class DraftStore:
    """One file a draft. Synchronous: use a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Draft | None:
        """The draft, None where there is none that can be read."""
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=Draft)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError):
            return None

    def save(self, draft: Draft, now: float) -> None:
        """Written beside its place and moved there: what is in the way of a crash is the last second. OSError."""
        path = self._path(draft.key)
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".draft")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(replace(draft, saved_at=now)))
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise

    def delete(self, key: str) -> None:
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{quote(key, safe='')[:200]}.json"
