"""Pulls that outlive the program: one small file each in `.ollama-tui.pulls/` of the store.

The process that runs a pull holds a lock beside its file, so that another one, or the next, can tell a pull that
is going on from one that a crash left.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field

from ollama_engine.errors import InvalidRequest
from ollama_engine.registry.links import parse_link
from ollama_engine.store import names
from ollama_engine.store.files import FILE_MODE, FOLDER_MODE, read_bounded, replace_durably, storing
from ollama_engine.store.names import ModelName

FOLDER = ".ollama-tui.pulls"
MAX_FILE = 4 << 20
_log = logging.getLogger(__name__)

Wanted = Literal["queued", "paused", "failed"]


class StoredPull(Struct, kw_only=True):
    """A pull as it is on disk. `order` sorts the queue; `blobs` gives the size of each blob it is known to want,
    `reached` how much of each was here when this was written."""

    name: str
    insecure: bool = False
    order: float = 0.0
    wanted: Wanted = "queued"
    error: str = ""
    hint: str = ""
    blobs: dict[str, int] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    completed: int = 0


class Subject(Struct, frozen=True):
    """What a pull is of: `text` as it is stored and pulled, `id` the same for all ways to write it."""

    text: str
    display: str
    id: str


def subject_of(what: ModelName | str) -> Subject:
    """The subject that a name, or the link to a file, is. InvalidName, InvalidRequest."""
    if isinstance(what, str) and (link := parse_link(what)):
        return _subject(link.urls[0], link.name.display, link.urls[0])
    name = names.parse(what) if isinstance(what, str) else what
    return _subject(f"{name.scheme}://{name.full}", name.display, name.key)


def _subject(text: str, display: str, key: str) -> Subject:
    return Subject(text, display, hashlib.sha256(key.encode()).hexdigest()[:16])


class QueueFiles:
    """The folder of pulls of one store. Synchronous; StoreError when the disk fails."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def load(self) -> dict[str, StoredPull]:
        """All pulls by their id; files that cannot be read are passed over with a warning."""
        with storing("read", self.folder):
            paths = sorted(self.folder.glob("*.json"))
        found: dict[str, StoredPull] = {}
        for path in paths:
            try:
                stored = msgspec.json.decode(read_bounded(path, MAX_FILE)[0], type=StoredPull)
                found[subject_of(stored.name).id] = stored
            except (OSError, msgspec.MsgspecError, InvalidRequest) as error:
                _log.warning("the stored pull %s is passed over: %s", path, error)
        return found

    def save(self, key: str, stored: StoredPull) -> None:
        path = self.folder / f"{key}.json"
        with storing("write", path):
            replace_durably(path, msgspec.json.encode(stored), prefix=".writing-")

    def remove(self, key: str) -> None:
        path = self.folder / f"{key}.json"
        with storing("remove", path):
            path.unlink(missing_ok=True)

    def lock(self, key: str) -> int | None:
        """A descriptor to hold while the pull is ours; None where another process has it."""
        path = self.folder / f"{key}.lock"
        with storing("lock", path):
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
