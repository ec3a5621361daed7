"""Prune removes what a crash left and nothing that anybody may still want."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ollama_engine.errors import StoreError
from ollama_engine.store import Manifest, Store
from ollama_engine.store.digests import of_bytes
from ollama_engine.store.lock import StoreLock
from tests.engine.store.conftest import Make, age, blob_names

ORPHAN = of_bytes(b"orphan")


def orphan(store: Store, seconds: float = 7200) -> Path:
    store.blobs.add_bytes(b"orphan")
    path = store.blobs.path(ORPHAN)
    age(path, seconds)
    return path


def test_an_old_orphan_goes_and_a_models_blobs_stay(store: Store, make: Make) -> None:
    make("poet")
    for name in blob_names(store):
        age(store.blobs.folder / name)
    kept = blob_names(store)
    orphan(store)
    report = store.prune()
    assert (report.removed, report.freed) == ([str(ORPHAN)], 6)
    assert blob_names(store) == kept


def test_a_legacy_named_orphan_goes_and_a_legacy_named_blob_in_use_stays(store: Store, make: Make) -> None:
    make("poet")
    used = store.blobs.path(of_bytes(b"weights"))
    used = used.rename(used.parent / str(of_bytes(b"weights")))
    left = orphan(store)
    left = left.rename(left.parent / str(ORPHAN))
    age(used)
    assert store.prune().removed == [str(ORPHAN)]
    assert used.exists()


def test_a_dry_run_says_the_same_and_removes_nothing(store: Store, make: Make) -> None:
    make("poet")
    orphan(store)
    before = blob_names(store)
    foreseen = store.prune(dry_run=True)
    assert blob_names(store) == before
    assert foreseen.removed == [str(ORPHAN)]
    assert store.prune() == foreseen


def test_a_young_orphan_stays_until_it_is_old_enough(store: Store) -> None:
    path = orphan(store, seconds=100)
    assert store.prune().removed == []
    assert path.exists()
    assert store.prune(older_than=50).removed == [str(ORPHAN)]


def test_no_orphan_goes_while_a_manifest_cannot_be_read(store: Store, make: Make) -> None:
    make("poet")
    path = orphan(store)
    broken = store.root / "manifests/registry.ollama.ai/library/poet/half"
    broken.write_bytes(b"")
    assert store.prune().removed == []
    assert path.exists()
    broken.unlink()
    assert store.prune().removed == [str(ORPHAN)]


def test_no_orphan_goes_while_a_model_is_being_made_however_long(store: Store) -> None:
    path = orphan(store)
    with Store(store.root).creating():
        assert store.prune(older_than=0).removed == []
        assert path.exists()
    assert store.prune().removed == [str(ORPHAN)]


def test_partial_downloads_stay_unless_asked_for(store: Store, make: Make) -> None:
    make("poet")
    endings = ("-partial", "-partial-0", "-partial.journal", "-partial.journal.tmp", ".tmp")
    partials = {f"{ORPHAN.file_name}{ending}" for ending in endings}
    for name in partials:
        (store.blobs.folder / name).write_bytes(b"part")
        age(store.blobs.folder / name)
    young = store.blobs.folder / f"{ORPHAN.file_name}-partial-1"
    young.write_bytes(b"part")
    assert store.prune().removed == []
    assert set(store.prune(partials=True).removed) == partials
    assert young.exists()


def test_a_sparse_partial_frees_what_it_really_takes(store: Store) -> None:
    store.blobs.folder.mkdir(parents=True)
    path = store.blobs.folder / f"{ORPHAN.file_name}-partial"
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)
    age(path)
    assert store.prune(partials=True).freed < 1 << 20


def test_a_living_writers_file_stays_and_a_dead_ones_goes(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"half")
        (name,) = blob_names(store)
        age(store.blobs.folder / name)
        assert store.prune(older_than=0).removed == []
        assert writer.commit().size == 4
    dead = store.blobs.folder / ".writing-0123.tmp"
    dead.write_bytes(b"half")
    age(dead)
    assert dead.name in store.prune().removed
    assert not dead.exists()


def test_ollamas_own_old_temporaries_go_and_foreign_files_stay(store: Store) -> None:
    store.blobs.folder.mkdir(parents=True)
    for name in ("sha256-123456789", "notes.txt", ".DS_Store", "sha256-" + "x" * 64):
        (store.blobs.folder / name).write_bytes(b"x")
        age(store.blobs.folder / name)
    (store.blobs.folder / ("sha256-" + "a" * 64)).mkdir()
    assert store.prune().removed == ["sha256-123456789"]


def test_half_written_manifests_and_empty_folders_go(store: Store, make: Make) -> None:
    made = make("poet")
    left = store.root / "manifests/hf.co/ann/muse/.writing-00ff.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b'{"half')
    assert left.name in store.prune().removed
    assert os.listdir(store.root / "manifests") == ["registry.ollama.ai"]
    assert store.list() == [made]


def test_a_delete_spares_a_blob_that_was_used_again_since(store: Store, make: Make) -> None:
    make("poet", weights=b"weights")
    manifest = store.root / "manifests/registry.ollama.ai/library/poet/latest"
    age(manifest, 100)
    assert Store(store.root).blobs.reuse(of_bytes(b"weights"))  # as an upload before a create does
    store.delete("poet")
    assert store.blobs.exists(of_bytes(b"weights"))


def test_a_delete_spares_young_blobs_while_another_model_is_being_made(store: Store, make: Make) -> None:
    make("poet", weights=b"weights")
    other = Store(store.root)
    with other.creating() as creation:
        layer = other.add_layer("m", b"weights")
        config = other.add_layer("c", b"{}")
        store.delete("poet")
        other.put_manifest("muse", Manifest(config=config, layers=[layer]), creation)
    assert store.blobs.read(layer.digest) == b"weights"


def test_a_store_that_somebody_hangs_on_to_is_an_error_that_names_the_lock(store: Store) -> None:
    hurried = StoreLock(store.root, patience=0.05)
    with hurried.exclusive():
        with pytest.raises(StoreError, match=r"locked by another process \(.*lock\)"), hurried.shared():
            raise AssertionError("got in")
        with pytest.raises(StoreError, match="locked"), hurried.exclusive():
            raise AssertionError("got in")
    with hurried.shared(), hurried.shared():
        pass
