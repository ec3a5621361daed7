"""Files that become blobs where they lie: the three ways, what is left alone, and changes that are noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidGGUF, InvalidRequest, StoreError
from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_engine.store import Config, Manifest, Store
from ollama_engine.store import in_place as in_place_module
from ollama_engine.store import manifest as media
from ollama_engine.store.digests import Digest, of_bytes
from ollama_engine.store.in_place import FICLONE, place
from ollama_engine.store.manifest import Layer
from tests.engine.store.conftest import age, blob_names

DATA = b"GGUF weights of the user's" * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.gguf"
    path.write_bytes(DATA)
    path.chmod(0o640)
    age(path)
    return path


@pytest.fixture(autouse=True)
def cloning(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system of the tests clones, whichever they run on."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(in_place_module.fcntl, "ioctl", refuse)


def no_links(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)


def traits(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, status.st_size


def make(store: Store, name: str, digest: Digest) -> None:
    with store.creating() as creation:
        config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_format="gguf")))
        layer = Layer(media_type=media.MODEL, digest=str(digest), size=len(DATA))
        store.put_manifest(name, Manifest(config=config, layers=[layer]), creation)


def test_a_hard_link_is_the_file_and_leaves_it_as_it_was(store: Store, file: Path) -> None:
    before = traits(file)
    placed = place(store.blobs, file)
    assert (placed.way, placed.digest, placed.size) == ("hard link", of_bytes(DATA), len(DATA))
    assert store.blobs.reuse(placed.digest)
    assert place(store.blobs, file).way == "present"
    assert store.blobs.path(placed.digest).samefile(file)
    assert traits(file) == before
    assert blob_names(store) == {placed.digest.file_name}


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM])
def test_where_it_cannot_be_linked_it_is_copied(
    store: Store, file: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    no_links(monkeypatch, error)
    before = traits(file)
    placed = place(store.blobs, file)
    blob = store.blobs.path(placed.digest)
    assert placed.way == "copy"
    assert blob.read_bytes() == DATA
    assert not blob.samefile(file)
    assert traits(file) == before
    file.write_bytes(b"other")
    store.blobs.check_original(blob)


def test_a_clone_goes_before_a_link(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def clone(target: int, request: int, source: int) -> int:
        assert request == FICLONE
        return os.write(target, os.pread(source, len(DATA), 0))

    monkeypatch.setattr(fcntl, "ioctl", clone)
    placed = place(store.blobs, file)
    blob = store.blobs.path(placed.digest)
    assert placed.way == "reflink"
    assert blob.read_bytes() == DATA
    assert not blob.samefile(file)
    assert blob_names(store) == {placed.digest.file_name}


def test_removing_the_models_leaves_the_file(store: Store, file: Path) -> None:
    before = traits(file)
    digest = place(store.blobs, file).digest
    make(store, "one", digest)
    make(store, "two", place(store.blobs, file).digest)
    store.delete("one")
    assert store.blobs.path(digest).samefile(file)
    store.delete("two")
    assert not store.blobs.exists(digest)
    assert store.blobs.originals.digests() == []
    assert (traits(file), file.stat().st_nlink, file.read_bytes()) == (before, 1, DATA)


def test_prune_goes_by_last_use_and_leaves_the_file(store: Store, file: Path) -> None:
    digest = place(store.blobs, file).digest  # of a file two hours old
    assert store.prune().removed == []
    age(store.blobs.originals.folder / digest.file_name)
    report = store.prune()
    assert (report.removed, report.freed) == ([str(digest)], 0)
    assert store.blobs.originals.digests() == []
    assert file.read_bytes() == DATA


@pytest.mark.parametrize("data", [b"X" * len(DATA), b"shorter"])
def test_a_change_is_noticed_and_is_no_blob_any_more(store: Store, file: Path, data: bytes) -> None:
    digest = place(store.blobs, file).digest
    blob = store.blobs.path(digest)
    store.blobs.check_original(blob)
    with file.open("r+b") as opened:
        opened.write(data)
        opened.truncate()
    with pytest.raises(StoreError, match=r"weights\.gguf was changed"):
        store.blobs.check_original(blob)
    assert not store.blobs.reuse(digest)
    store.blobs.write(digest, [DATA])  # the bytes themselves heal it
    store.blobs.check_original(blob)
    assert blob.read_bytes() == DATA
    assert file.read_bytes() == data


def test_a_file_only_touched_can_be_placed_again(store: Store, file: Path) -> None:
    digest = place(store.blobs, file).digest
    os.utime(file, (time.time(), time.time()))
    assert place(store.blobs, file).way == "hard link"
    store.blobs.check_original(store.blobs.path(digest))
    assert blob_names(store) == {digest.file_name}


def test_a_symbolic_link_is_followed(store: Store, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(file)
    blob = store.blobs.path(place(store.blobs, link).digest)
    assert blob.samefile(file)
    assert not blob.is_symlink()


async def test_what_is_no_gguf_file_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    text, fifo, loop = tmp_path / "text.gguf", tmp_path / "fifo", tmp_path / "loop"
    text.write_bytes(b"no such thing")
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        before = sorted((tmp_path / "models").glob("blobs/*"))  # of the bundled model
        with pytest.raises(InvalidGGUF):
            await engine.add_file(text)
        for path, reason in ((tmp_path, "is a folder"), (fifo, "not a regular"), (tmp_path / "none", "No such")):
            with pytest.raises(InvalidRequest, match=reason):
                await engine.add_file(path)
        for path in (loop, Path("/dev/null")):
            with pytest.raises(InvalidRequest, match="cannot read"):
                await engine.add_file(path)
        assert sorted((tmp_path / "models").glob("blobs/*")) == before
