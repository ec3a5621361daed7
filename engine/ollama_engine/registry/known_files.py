"""What the files of links turned out to be: `.ollama-tui.links/<id>` of the store holds the digest of each.

A link does not say the digest of its file. So that a model in several files, or one pulled again, is not fetched
twice, the digest is noted under the id of the file's version (`web_source.Version.id`) once it is known.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ollama_engine.errors import InvalidDigest
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import read_bounded, replace_durably, storing

FOLDER = ".ollama-tui.links"


class KnownFiles:
    """The notes of one store. Synchronous; StoreError when the disk fails."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def digest(self, version: Digest) -> Digest | None:
        """What this version of a file was when it was last downloaded; None where it never was."""
        with suppress(OSError, UnicodeDecodeError, InvalidDigest):
            return digests.parse(read_bounded(self.folder / version.hex, 100)[0].decode("ascii").strip())
        return None

    def note(self, version: Digest, digest: Digest) -> None:
        path = self.folder / version.hex
        with storing("write", path):
            replace_durably(path, f"{digest}\n".encode(), prefix=".writing-")
