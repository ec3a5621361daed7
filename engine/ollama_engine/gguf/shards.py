"""Models in several files: `name-00001-of-0000N.gguf` and its companions are read as one.

llama.cpp writes the metadata into the first shard and, into each, `split.no` (from 0), `split.count` and
`split.tensors.count` (of the whole model).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ollama_engine.errors import InvalidGGUF
from ollama_engine.gguf.header import Header, Tensor, read_header

_SHARD_NAME = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def find_shards(path: Path) -> list[Path]:
    """All files of the model that `path` is one shard of, in order; just `path` when its name is no shard's.

    Raises:
        InvalidGGUF: a shard is missing (the message names it), or the name counts past its own end.
    """
    match = _SHARD_NAME.fullmatch(path.name)
    if match is None:
        return [path]
    number, count = int(match["number"]), int(match["count"])
    if not 1 <= number <= count:
        raise InvalidGGUF(f"{path.name} is no possible shard: number {number} of {count}")
    shards: list[Path] = []
    for each in range(1, count + 1):
        shard = path.with_name(f"{match['stem']}-{each:05d}-of-{count:05d}.gguf")
        if not shard.is_file():
            hint = f"download it into the folder of {path.name}"
            raise InvalidGGUF(f"shard {each} of {count} is missing: {shard.name}", hint=hint)
        shards.append(shard)
    return shards


def read_model(path: Path) -> Header:
    """The header of the model at `path`, whose other shards lie beside it.

    Raises:
        InvalidGGUF: a file is broken, a shard is missing, or the shards do not belong together.
    """
    return merge_shards([read_header(shard) for shard in find_shards(path)])


def merge_shards(headers: Sequence[Header]) -> Header:
    """One header for the shards of one model, given in order: metadata of the first, tensors and sizes of all."""
    first = headers[0]
    count = first.integer("split.count", 1)
    if len(headers) == 1 and count <= 1:
        return first
    tensors: list[Tensor] = []
    for number, header in enumerate(headers):
        said = header.integer("split.no", -1), header.integer("split.count", -1)
        if said != (number, len(headers)):
            raise _not_together(header, number, len(headers), said)
        tensors.extend(header.tensors)
    total = first.integer("split.tensors.count", len(tensors))
    if total != len(tensors):
        raise first.fault(f"the shards have {len(tensors)} tensors together, split.tensors.count says {total}")
    names = {tensor.name for tensor in tensors}
    if len(names) != len(tensors):
        raise first.fault("a tensor appears in two shards")
    return replace(
        first,
        tensors=tuple(tensors),
        file_size=sum(header.file_size for header in headers),
        files=tuple(header.path for header in headers),
    )


def _not_together(header: Header, number: int, count: int, said: tuple[int, int]) -> InvalidGGUF:
    name = header.path.name
    if said[0] < 0 or said[1] < 0:
        problem = f"{name} does not say which shard it is (split.no, split.count)"
    else:
        problem = f"{name} is shard {said[0] + 1} of {said[1]}, not {number + 1} of {count}"
    hint = "keep the names the shards were made with, all shards in one folder: name-00001-of-0000N.gguf"
    return InvalidGGUF(problem, hint=hint)
