"""The folder `manifests/<host>/<namespace>/<model>/<tag>` (spec §6), which anybody may have put things into.

What is not a manifest's place (wrong depth, names no model can have, hidden files, FIFOs) is passed over with
one warning; links are followed only where they stay inside the folder. The Store is its only caller.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ollama_engine.errors import StoreError
from ollama_engine.store.files import read_bounded, replace_durably, storing, sync_folder
from ollama_engine.store.manifest import MAX_MANIFEST
from ollama_engine.store.names import ModelName, is_valid_part

TEMPORARY_PREFIX = ".writing-"
"""A dot begins no tag, so neither we nor Ollama take a half-written file for a manifest."""

_KINDS = ("host", "namespace", "model", "tag")
_log = logging.getLogger(__name__)


class ManifestTree:
    """Names and bytes of the manifests; knows nothing of what is in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warned: set[str] = set()

    def path(self, name: ModelName) -> Path:
        return self.folder.joinpath(*name.parts)

    def names(self) -> list[ModelName]:
        """The names that a manifest file lies at, sorted, whether or not it can be read."""
        return self.survey()[0]

    def survey(self) -> tuple[list[ModelName], bool]:
        """`names`, and whether they are all: false where a folder that may hold manifests cannot be looked into."""
        found: list[ModelName] = []
        complete = self._descend(self.folder, (), found)
        return sorted(found, key=lambda name: name.parts), complete

    def find(self, name: ModelName) -> ModelName | None:
        """The name as it is on disk: exactly so if that exists, else in another case; None where there is neither."""
        return next(self._matches(self.folder, name.parts, ()), None)

    def recased(self, name: ModelName) -> ModelName:
        """`name`, with those of its parts that exist already in the case they have on disk."""
        if found := self.find(name):
            return found
        folder, parts = self.folder, []
        for part in name.parts:
            parts.append(next(_alike(folder, part), part))
            folder = folder / parts[-1]
        return ModelName(*parts)

    def read(self, name: ModelName) -> tuple[bytes, os.stat_result]:
        """The manifest's bytes and stat. FileNotFoundError where it is gone, StoreError where it cannot be read."""
        path = self.path(name)
        try:
            if self._escapes(path):
                raise StoreError(f"{path} is a link that leads out of the store")
            return read_bounded(path, MAX_MANIFEST)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(str(path)) from error
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror or error}") from error

    def write(self, name: ModelName, data: bytes) -> None:
        """Replace the manifest, durably and as a whole. StoreError."""
        path = self.path(name)
        with storing("write", path):
            if self._escapes(path.parent):
                raise StoreError(f"cannot write {path}: a link leads out of the store")
            replace_durably(path, data, prefix=TEMPORARY_PREFIX)

    def remove(self, name: ModelName) -> None:
        """Remove the manifest and the folders that it leaves empty. StoreError."""
        path = self.path(name)
        with storing("remove", path):
            path.unlink()
            sync_folder(path.parent)
        for folder in list(path.parents)[:3]:
            with suppress(OSError):  # not empty, or somebody else was quicker
                folder.rmdir()

    def leftovers(self) -> Iterator[Path]:
        """Temporary files that a writer left which died; only to be asked while nobody else may write."""
        for folder, _, files in os.walk(self.folder):
            yield from (
                Path(folder, file) for file in files if file.startswith(TEMPORARY_PREFIX) and file.endswith(".tmp")
            )

    def remove_empty_folders(self) -> None:
        for folder, _, _ in os.walk(self.folder, topdown=False):
            if Path(folder) != self.folder:
                with suppress(OSError):  # not empty
                    os.rmdir(folder)

    def warn(self, path: str | Path, why: object) -> None:
        """Say once what was passed over and why: the list is asked for again and again."""
        message = f"{path} is passed over: {why}"
        if message not in self._warned:
            self._warned.add(message)
            _log.warning(message)

    def _descend(self, folder: Path, above: tuple[str, ...], found: list[ModelName]) -> bool:
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except FileNotFoundError:
            return True
        except OSError as error:
            self.warn(folder, error.strerror or error)
            return False
        complete = True  # isdir and isfile, unlike the entry's own, say no to a link that runs in a circle
        for entry in entries:
            if not is_valid_part(_KINDS[len(above)], entry.name):
                if not entry.name.startswith("."):
                    self.warn(entry.path, f"not the name of a {_KINDS[len(above)]}")
            elif entry.is_symlink() and self._escapes(Path(entry.path)):
                self.warn(entry.path, "a link that leads out of the store")
                complete = False
            elif len(above) < 3 and os.path.isdir(entry.path):
                complete &= self._descend(Path(entry.path), (*above, entry.name), found)
            elif len(above) == 3 and os.path.isfile(entry.path):
                found.append(ModelName(*above, entry.name))
            else:
                self.warn(entry.path, "not a manifest's place")
        return complete

    def _matches(self, folder: Path, wanted: tuple[str, ...], above: tuple[str, ...]) -> Iterator[ModelName]:
        for name in _alike(folder, wanted[len(above)]):
            if len(above) < 3:
                yield from self._matches(folder / name, wanted, (*above, name))
            elif len(above) == 3 and (folder / name).is_file():
                yield ModelName(*above, name)

    def _escapes(self, path: Path) -> bool:
        return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))


def _alike(folder: Path, part: str) -> Iterator[str]:
    """The names in `folder` that are `part` but for case, the exact one first."""
    try:
        names = os.listdir(folder)
    except OSError:  # no such folder, or none that may be looked into: then nothing is found there
        return
    # A part is ASCII, so lower() can only equal that of an ASCII name, except for a few odd letters (Kelvin's K).
    alike = (name for name in names if name.isascii() and name.lower() == part.lower())
    yield from sorted(alike, key=lambda name: (name != part, name))
