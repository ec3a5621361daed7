"""GGUF files that lie about on this machine: where other programs and people keep them. Bounded in time and depth."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPTH = 5
SECONDS = 3.0
MOST = 500
_PLACES = (
    ".", "~/models", "~/Models", "~/Downloads", "~/Documents", "~/.cache/huggingface/hub", "~/.cache/llama.cpp",
    "~/.lmstudio/models", "~/.cache/lm-studio/models", "~/.local/share/nomic.ai/GPT4All", "~/jan/models",
    "~/Library/Caches/llama.cpp", "~/Library/Application Support/nomic.ai/GPT4All",
)  # fmt: skip
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", ".git", ".venv"})


@dataclass(frozen=True)
class GgufFile:
    """`path` as it may be written behind FROM; `size` in bytes. Of a model in shards it is the first."""

    path: str
    size: int


def find_gguf(base_dir: Path) -> list[GgufFile]:
    """What is in `base_dir` and the usual places, the largest first. It walks folders: use a thread."""
    until = time.monotonic() + SECONDS
    found: dict[str, GgufFile] = {}
    for place in _PLACES:
        for path in _walk(base_dir / Path(place).expanduser(), DEPTH, until):
            try:
                real, size = os.path.realpath(path), path.stat().st_size
            except OSError:
                continue
            found.setdefault(real, GgufFile(_written(path, base_dir), size))
            if len(found) >= MOST:
                break
    return sorted(found.values(), key=lambda file: -file.size)


def _walk(folder: Path, depth: int, until: float) -> Iterator[Path]:
    """GGUF files below `folder`; of shards only the first."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if time.monotonic() > until:
            return
        name = entry.name.lower()
        try:
            if entry.is_dir(follow_symlinks=False):
                if depth > 1 and entry.name not in _SKIPPED:
                    yield from _walk(Path(entry.path), depth - 1, until)
            elif name.endswith(".gguf") and entry.is_file() and ("-of-" not in name or "-00001-of-" in name):
                yield Path(entry.path)
        except OSError:
            continue


def _written(path: Path, base_dir: Path) -> str:
    for folder, short in ((base_dir, "./"), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return f"{short}{path.relative_to(folder).as_posix()}"
    return str(path)
