"""`ListingFile`: the models as they were listed last, so that they can be looked at before the engine is there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ollama_engine.types import ModelSummary


class _Listing(msgspec.Struct):
    place: str
    models: list[ModelSummary]


class ListingFile:
    """`place` says whose models they are: the address of the server and the folder of the store. What cannot be read,
    or is another place's, is no listing; what cannot be written is left. Synchronous."""

    def __init__(self, file: Path, place: str) -> None:
        self._file = file
        self._place = place
        self._written: tuple[ModelSummary, ...] = ()

    def read(self) -> tuple[ModelSummary, ...]:
        """The models, none where there is no listing."""
        try:
            listing = msgspec.json.decode(self._file.read_bytes(), type=_Listing)
        except (OSError, msgspec.DecodeError):
            return ()
        self._written = tuple(listing.models) if listing.place == self._place else ()
        return self._written

    def write(self, models: Sequence[ModelSummary]) -> None:
        """Keep these; nothing happens where they are what was read or written last."""
        if tuple(models) == self._written:
            return
        data = msgspec.json.encode(_Listing(self._place, list(models)))
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._file.parent, prefix=".writing-")
            try:
                with os.fdopen(descriptor, "wb") as out:
                    out.write(data)
                os.replace(temporary, self._file)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._written = tuple(models)
