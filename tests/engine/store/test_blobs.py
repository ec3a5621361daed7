"""A blob is in the store whole, under the hash of its bytes, or not at all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ollama_engine.errors import DigestMismatch, InvalidRequest, NotFound, StoreError
from ollama_engine.store import Store
from ollama_engine.store.blobs import CHUNK
from ollama_engine.store.digests import of_bytes
from tests.engine.store.conftest import age, blob_names

DATA = b"some bytes"
DIGEST = of_bytes(DATA)


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_blob_lies_under_its_hash_readable_by_all(store: Store) -> None:
    umask = os.umask(0o022)
    try:
        blob = store.blobs.write(None, [b"some ", b"bytes"])
    finally:
        os.umask(umask)
    path = store.root / "blobs" / f"sha256-{hashlib.sha256(DATA).hexdigest()}"
    assert (blob.digest, blob.size, blob.new) == (DIGEST, len(DATA), True)
    assert store.blobs.path(str(DIGEST)) == path
    assert path.read_bytes() == DATA == store.blobs.read(DIGEST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    with store.blobs.open(DIGEST) as file:
        assert file.read() == DATA


def test_bytes_that_are_not_their_digest_leave_nothing_behind(store: Store) -> None:
    with pytest.raises(DigestMismatch, match=f'expected "{DIGEST}", got "sha256:'):
        store.blobs.write(DIGEST, [b"other bytes"])
    assert blob_names(store) == set()


def test_chunks_that_fail_half_way_leave_nothing_behind(store: Store) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.blobs.write(DIGEST, chunks())
    assert blob_names(store) == set()


def test_a_blob_that_is_there_is_not_read_again_but_counts_as_used(store: Store) -> None:
    store.blobs.write(DIGEST, [DATA])
    age(store.blobs.path(DIGEST))

    def untouched() -> Iterator[bytes]:
        raise AssertionError("asked for bytes")
        yield b""

    before = store.blobs.path(DIGEST).stat().st_mtime
    assert store.blobs.write(DIGEST, untouched()).new is False
    assert store.blobs.path(DIGEST).stat().st_mtime > before + 3600


def test_exists_can_ask_for_the_size_too(store: Store) -> None:
    assert not store.blobs.exists(DIGEST)
    assert not store.blobs.reuse(DIGEST)
    store.blobs.add_bytes(DATA)
    assert store.blobs.exists(DIGEST)
    assert store.blobs.exists(DIGEST, len(DATA))
    assert not store.blobs.exists(DIGEST, len(DATA) + 1)
    assert not store.blobs.reuse(DIGEST, len(DATA) + 1)


def test_a_missing_blob_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match=str(DIGEST)):
        store.blobs.open(DIGEST)
    with pytest.raises(NotFound, match=str(DIGEST)):
        store.blobs.read(DIGEST)


def test_a_blob_beyond_the_limit_is_not_read_into_memory(store: Store) -> None:
    store.blobs.add_bytes(DATA)
    with pytest.raises(StoreError, match="larger than 4 bytes"):
        store.blobs.read(DIGEST, limit=4)


def test_verify_finds_a_blob_that_was_changed(store: Store) -> None:
    store.blobs.add_bytes(DATA)
    store.blobs.verify(DIGEST)
    store.blobs.path(DIGEST).write_bytes(b"rotten")
    with pytest.raises(DigestMismatch):
        store.blobs.verify(DIGEST)


def test_a_blob_under_its_legacy_name_is_used_where_it_lies(store: Store) -> None:
    store.blobs.folder.mkdir(parents=True)
    legacy = store.blobs.folder / str(DIGEST)
    legacy.write_bytes(DATA)
    assert store.blobs.path(DIGEST) == legacy
    assert store.blobs.read(DIGEST) == DATA
    assert store.blobs.write(DIGEST, []).new is False
    assert blob_names(store) == {legacy.name}


def test_a_file_is_copied_in_and_lives_on_without_its_source(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "weights.gguf"
    source.write_bytes(DATA * CHUNK)
    blob = store.blobs.add_file(source)
    assert blob.new
    assert store.blobs.path(blob.digest).stat().st_ino != source.stat().st_ino
    assert store.blobs.add_file(source) == type(blob)(blob.digest, blob.size, new=False)
    source.write_bytes(b"changed")
    store.blobs.verify(blob.digest)


def test_what_is_no_regular_file_is_refused_and_never_waited_for(store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "absent", Path("/dev/zero")):
        with pytest.raises(InvalidRequest, match=f"cannot read {path}"):
            store.blobs.add_file(path)


async def test_a_stream_is_stored_and_a_second_one_not_read(store: Store) -> None:
    big = os.urandom(3 * CHUNK + 7)
    blob = await store.blobs.write_stream(None, stream(big[:5], big[5 : 2 * CHUNK], b"", big[2 * CHUNK :]))
    assert blob.digest == of_bytes(big)
    store.blobs.verify(blob.digest)
    assert (await store.blobs.write_stream(str(blob.digest), stream())).new is False


async def test_a_stream_that_is_not_its_digest_leaves_nothing(store: Store) -> None:
    with pytest.raises(DigestMismatch):
        await store.blobs.write_stream(DIGEST, stream(b"other"))
    assert blob_names(store) == set()


async def test_a_cancelled_stream_leaves_nothing(store: Store) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield os.urandom(2 * CHUNK)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.blobs.write_stream(None, endless()))
    await begun.wait()
    assert len(blob_names(store)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blob_names(store) == set()


def test_many_writers_of_one_blob_all_succeed(store: Store) -> None:
    data = os.urandom(CHUNK)
    start = threading.Barrier(8)
    done: list[int] = []

    def write() -> None:
        start.wait()
        done.append(store.blobs.write(None, [data[:1000], data[1000:]]).size)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [CHUNK] * 8
    assert blob_names(store) == {of_bytes(data).file_name}


def test_a_finished_download_becomes_the_blob_it_should_be_or_stays(store: Store) -> None:
    store.blobs.folder.mkdir(parents=True)
    partial = store.blobs.folder / f"{DIGEST.file_name}-partial"
    partial.write_bytes(b"not yet")
    with pytest.raises(DigestMismatch):
        store.blobs.adopt(partial, DIGEST)
    assert partial.exists()
    partial.write_bytes(DATA)
    assert store.blobs.adopt(partial, DIGEST).size == len(DATA)
    assert blob_names(store) == {DIGEST.file_name}


def test_a_full_disk_is_a_store_error_that_says_where(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=f"cannot write {store.blobs.folder}.*No space left") as caught:
        store.blobs.add_bytes(DATA)
    assert "Free disk space" in caught.value.hint
    assert caught.value.status == 507
    assert blob_names(store) == set()


def test_a_folder_that_cannot_be_written_is_a_store_error_that_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=str(tmp_path / "file")):
        Store(tmp_path / "file").blobs.add_bytes(DATA)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "blobs").write_bytes(b"")
    with pytest.raises(StoreError, match=str(tmp_path / "models" / "blobs")):
        Store(tmp_path / "models").blobs.add_bytes(DATA)


def test_a_read_only_store_can_be_read_and_refuses_writes(store: Store) -> None:
    store.blobs.add_bytes(DATA)
    store.blobs.folder.chmod(0o555)
    try:
        if os.access(store.blobs.folder, os.W_OK):
            pytest.skip("permissions do not bind this user")
        assert store.blobs.read(DIGEST) == DATA
        with pytest.raises(StoreError, match="Permission denied") as caught:
            store.blobs.add_bytes(b"more")
        assert "OLLAMA_MODELS" in caught.value.hint
    finally:
        store.blobs.folder.chmod(0o755)
