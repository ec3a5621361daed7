"""Removing blobs that no manifest names, without ever taking one that somebody is about to name (spec §6).

Two callers: a delete or a replaced manifest gives up its own blobs at once (`collect`), and `prune` looks
over the whole folder. Neither removes a blob unless every manifest could be read, and a blob that may belong
to a model still being made is left: see `lock.Creation`.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ollama_engine.errors import StoreError
from ollama_engine.store import blobs as blob_files
from ollama_engine.store import digests
from ollama_engine.store.blobs import BlobStore
from ollama_engine.store.digests import Digest
from ollama_engine.store.files import open_regular, storing, sync_folder
from ollama_engine.store.lock import StoreLock, is_free
from ollama_engine.store.manifest import decode_manifest
from ollama_engine.store.tree import ManifestTree
from ollama_engine.types import PruneReport

GRACE = 3600.0
"""Seconds that a blob is young: it may belong to a model whose manifest is not written yet."""

_PARTIAL = re.compile(r"sha256[:-][0-9a-fA-F]{64}(-partial(-[0-9]+|\.journal(\.tmp)?)?|\.tmp)")
_OLLAMA_TEMPORARY = re.compile(r"sha256-[0-9]{1,20}")
_log = logging.getLogger(__name__)


class References(Struct, frozen=True):
    """All digests that manifests name, and the manifests (or folders) that could not be read."""

    digests: set[Digest]
    unreadable: list[str]


def references(tree: ManifestTree) -> References:
    names, complete = tree.survey()
    used: set[Digest] = set()
    unreadable = [] if complete else [str(tree.folder)]
    for name in names:
        try:
            used |= decode_manifest(tree.read(name)[0]).digests()
        except FileNotFoundError:
            continue
        except StoreError:
            unreadable.append(name.display)
    return References(used, unreadable)


def collect(
    blobs: BlobStore, tree: ManifestTree, lock: StoreLock, candidates: set[Digest], since_ns: int
) -> PruneReport:
    """Remove those blobs of `candidates` that no manifest names; the caller holds the exclusive lock.

    They are the blobs of a manifest, written at `since_ns`, that is no more. A young one is spared if it was
    used again after that, or while any model is being made: either may be about to name it.
    """
    report = PruneReport()
    if not candidates:
        return report
    used = references(tree)
    if used.unreadable:
        _log.warning("no blob is removed: %s cannot be read", ", ".join(used.unreadable))
        return report
    with lock.nobody_creating() as quiet:
        for digest in sorted(candidates - used.digests):
            path = blobs.path(digest)
            with suppress(FileNotFoundError):
                status = path.lstat()
                used_ns = _used_ns(blobs, digest, status)
                if not _is_young(used_ns, GRACE) or (quiet and used_ns <= since_ns):
                    _remove(path, str(digest), freed_bytes(status), report)
                    _forget(blobs, digest)
    if report.removed:
        sync_folder(blobs.folder)
    return report


def prune(
    blobs: BlobStore,
    tree: ManifestTree,
    lock: StoreLock,
    older_than: float,
    *,
    dry_run: bool,
    partials: bool,
) -> PruneReport:
    """Remove what is left over, and say what that was; with `dry_run` only say it.

    That is: orphaned blobs not used for `older_than` seconds, if every manifest can be read and no model is
    being made; temporary files whose writer is dead; empty manifest folders. Downloads that can be resumed
    (`-partial*`) only with `partials`. Files that are none of these are left alone.
    """
    report = PruneReport()
    with lock.exclusive(), lock.nobody_creating() as quiet:
        used = references(tree)
        if used.unreadable:
            _log.warning("orphaned blobs are kept: %s cannot be read", ", ".join(used.unreadable))
        for path, status in _files(blobs.folder):
            digest = digests.of_file_name(path.name)
            old = quiet and not _is_young(_used_ns(blobs, digest, status), older_than)
            if digest is not None:
                gone = old and not used.unreadable and digest not in used.digests
            elif _PARTIAL.fullmatch(path.name):
                gone = old and partials
            elif path.name.startswith(blob_files.TEMPORARY_PREFIX):
                gone = _is_abandoned(path)
            else:
                gone = old and _OLLAMA_TEMPORARY.fullmatch(path.name) is not None
            if gone:
                size = min(status.st_size, status.st_blocks * 512) if digest is None else freed_bytes(status)
                _remove(path, str(digest or path.name), size, report, dry_run=dry_run)
                if digest is not None and not dry_run:
                    _forget(blobs, digest)
        for path in list(tree.leftovers()):
            _remove(path, path.name, path.lstat().st_size, report, dry_run=dry_run)
        if not dry_run:
            tree.remove_empty_folders()
            for digest in blobs.originals.digests():
                if not os.path.lexists(blobs.path(digest)):
                    _forget(blobs, digest)
            if report.removed:
                sync_folder(blobs.folder)
    return report


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    with storing("read", folder):
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return
        for name in names:
            path = folder / name
            with suppress(FileNotFoundError):
                if not path.is_dir():
                    yield path, path.lstat()


def _used_ns(blobs: BlobStore, digest: Digest | None, status: os.stat_result) -> int:
    """When the file was last used: its mtime, but for a blob that is a file of the user's (`originals`)."""
    noted = None if digest is None else blobs.originals.used_ns(digest)
    return status.st_mtime_ns if noted is None else noted


def freed_bytes(status: os.stat_result) -> int:
    """Bytes that go with a blob: none while it has another name."""
    return status.st_size if status.st_nlink == 1 else 0


def _forget(blobs: BlobStore, digest: Digest) -> None:
    with storing("remove", blobs.originals.folder):
        blobs.originals.forget(digest)


def _is_young(used_ns: int, seconds: float) -> bool:
    return time.time() - used_ns / 1e9 < seconds


def _is_abandoned(path: Path) -> bool:
    """Whether the writer of a temporary file is dead: a living one holds a lock on it."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return False
    try:
        return is_free(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path, what: str, size: int, report: PruneReport, *, dry_run: bool = False) -> None:
    if not dry_run:
        with storing("remove", path):
            path.unlink(missing_ok=True)
    report.removed.append(what)
    report.freed += size
