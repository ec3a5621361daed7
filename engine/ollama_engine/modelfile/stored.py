"""Lines of a Modelfile that name a blob of the engine's store, as `show --modelfile` prints them.

Such a file is with the engine already, be it on another machine: it needs no reading, no hashing and no sending.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ollama_engine.modelfile.parser import Command, Modelfile
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest


@dataclass(frozen=True)
class StoredFiles:
    """Digests by the names that a create request gives them."""

    files: dict[str, str] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)
    draft: dict[str, str] = field(default_factory=dict)


def stored_blob(command: Command) -> Digest | None:
    """The blob that a FROM, ADAPTER or DRAFT names by its path in a store."""
    if command.name not in ("from", "adapter", "draft"):
        return None
    folder, _, name = re.sub(r"\\", "/", command.args).rpartition("/")
    return digests.of_file_name(name) if folder.endswith("blobs") else None


def take_stored(modelfile: Modelfile) -> tuple[Modelfile, StoredFiles]:
    """`modelfile` without such lines, and what they name. Of several DRAFTs the last one counts."""
    rest: list[Command] = []
    taken: dict[str, dict[str, str]] = {"from": {}, "adapter": {}, "draft": {}}
    for command in modelfile.commands:
        digest = stored_blob(command)
        if digest is None:
            rest.append(command)
        elif command.name == "draft":
            taken["draft"] = {digest.file_name: str(digest)}
        else:
            taken[command.name][digest.file_name] = str(digest)
    return Modelfile(tuple(rest)), StoredFiles(taken["from"], taken["adapter"], taken["draft"])
