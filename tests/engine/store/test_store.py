"""Models are found by name in any case, listed whatever else lies about, copied and deleted without loss."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidName, ModelNotFound, StoreError
from ollama_engine.store import Layer, Manifest, Store
from ollama_engine.store import manifest as media
from ollama_engine.store.digests import of_bytes
from ollama_engine.store.names import parse
from tests.engine.store.conftest import Make, age, blob_names

LIBRARY = Path("manifests/registry.ollama.ai/library")


def shown(store: Store) -> list[str]:
    return [entry.name.display for entry in store.list()]


def test_a_store_that_is_not_there_is_empty_and_reading_makes_nothing(store: Store) -> None:
    assert store.list() == store.names() == []
    with pytest.raises(ModelNotFound, match="model 'x' not found"):
        store.resolve("x")
    assert not store.root.exists()
    assert store.free_bytes() > 0


def test_a_model_lies_in_ollamas_layout_with_its_digest_and_size(store: Store, make: Make) -> None:
    made = make("poet", weights=b"12345", system=b"abc")
    path = store.root / LIBRARY / "poet" / "latest"
    data = path.read_bytes()
    assert data.endswith(b"}\n")
    document = json.loads(data)
    assert list(document) == ["schemaVersion", "mediaType", "config", "layers"]
    assert made == store.resolve("poet") == store.list()[0]
    assert made.digest == hashlib.sha256(data).hexdigest()
    assert made.size == 5 + 3 + document["config"]["size"]
    assert made.modified_ns == path.stat().st_mtime_ns
    assert blob_names(store) == {
        layer["digest"].replace(":", "-") for layer in [*document["layers"], document["config"]]
    }


def test_manifest_bytes_are_kept_as_they_came(store: Store, make: Make) -> None:
    config = make("poet").manifest.config
    data = json.dumps(
        {"layers": [], "x": 1, "config": {"mediaType": "c", "digest": config.digest, "size": 3}}, indent=3
    )
    entry = store.put_manifest("pulled", data.encode())
    assert (store.root / LIBRARY / "pulled" / "latest").read_text() == data
    assert entry.digest == of_bytes(data.encode()).hex


def test_the_list_is_newest_first(store: Store, make: Make) -> None:
    for name, seconds in (("old", 300), ("new", 100), ("middle", 200)):
        make(name)
        age(store.root / LIBRARY / name / "latest", seconds)
    assert shown(store) == ["new:latest", "middle:latest", "old:latest"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/St_Johns"])
def test_modified_at_is_the_moment_of_the_file_in_local_time(
    store: Store, make: Make, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        make("poet")
        os.utime(store.root / LIBRARY / "poet" / "latest", ns=(0, 1_700_000_000_120_000_000))
        text = store.resolve("poet").modified_at
        assert ".12" in text
        assert datetime.fromisoformat(text).timestamp() == pytest.approx(1_700_000_000.12)
        assert text.endswith({"UTC": "12Z", "Asia/Kolkata": "+05:30", "America/St_Johns": "-03:30"}[zone])
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_name_is_found_in_any_case_and_the_exact_one_wins(store: Store, make: Make) -> None:
    upper = make("Ann/Poet:Q4")
    assert store.resolve("ann/poet:q4") == upper
    assert store.resolve("REGISTRY.OLLAMA.AI/ANN/POET:q4").name.display == "Ann/Poet:Q4"
    lower = store.root / "manifests/registry.ollama.ai/ann/poet/q4"
    lower.parent.mkdir(parents=True)
    lower.write_bytes(encode(store, b"another"))
    if not (store.root / "manifests/registry.ollama.ai/ANN").exists():
        assert store.resolve("ann/poet:q4").name.display == "ann/poet:q4"
        assert store.resolve("Ann/Poet:Q4") == upper


def encode(store: Store, weights: bytes) -> bytes:
    config = store.add_layer(media.CONFIG_TYPE, b"{}")
    return media.encode_manifest(Manifest(config=config, layers=[store.add_layer(media.MODEL, weights)]))


def test_writing_a_name_takes_the_case_it_has_on_disk(store: Store, make: Make) -> None:
    make("Ann/Poet:Q4")
    assert make("ann/POET:q4", weights=b"two").name.display == "Ann/Poet:Q4"
    assert make("ANN/other").name.display == "Ann/other:latest"
    assert [name.display for name in store.names()] == ["Ann/Poet:Q4", "Ann/other:latest"]


@pytest.mark.parametrize("verb", ["resolve", "delete"])
def test_a_missing_model_is_named_as_it_was_asked_for(store: Store, make: Make, verb: str) -> None:
    make("poet")
    with pytest.raises(ModelNotFound) as caught:
        getattr(store, verb)("Poet:Big")
    assert str(caught.value) == "model 'Poet:Big' not found"
    with pytest.raises(InvalidName):
        getattr(store, verb)("../poet")


def test_a_name_too_long_for_the_disk_is_not_found_or_a_store_error(store: Store, make: Make) -> None:
    name = "h" * 350 + "/n/m"
    with pytest.raises(ModelNotFound):
        store.resolve(name)
    with pytest.raises(StoreError, match="cannot write"):
        make(name)
    assert store.list() == []


def test_a_manifest_whose_blob_is_missing_is_not_written(store: Store, make: Make) -> None:
    config = make("poet").manifest.config
    absent = Layer(media_type=media.MODEL, digest=str(of_bytes(b"absent")), size=6)
    with pytest.raises(StoreError, match=f"{absent.digest} of model 'x:latest' is missing"):
        store.put_manifest("x", Manifest(config=config, layers=[absent]))
    assert shown(store) == ["poet:latest"]


def test_replacing_a_model_drops_what_only_the_old_one_used(store: Store, make: Make) -> None:
    make("poet", weights=b"old", system=b"shared")
    make("other", weights=b"other", system=b"shared")
    make("poet", weights=b"new")
    assert not store.blobs.exists(of_bytes(b"old"))
    assert all(store.blobs.exists(of_bytes(data)) for data in (b"new", b"other", b"shared"))


def test_a_copy_is_the_same_bytes_under_another_name_and_shares_its_blobs(store: Store, make: Make) -> None:
    source = make("poet", weights=b"w")
    blobs = blob_names(store)
    copied = store.copy("POET", "hf.co/ann/muse:q8")
    assert (copied.name.full, copied.digest) == ("hf.co/ann/muse:q8", source.digest)
    assert blob_names(store) == blobs
    store.delete("poet")
    assert shown(store) == ["hf.co/ann/muse:q8"]
    assert blob_names(store) == blobs


def test_a_copy_over_a_model_drops_that_models_blobs(store: Store, make: Make) -> None:
    make("poet", weights=b"kept")
    make("muse", weights=b"dropped")
    store.copy("poet", "MUSE")
    assert store.resolve("muse").digest == store.resolve("poet").digest
    assert not store.blobs.exists(of_bytes(b"dropped"))


def test_a_copy_onto_itself_changes_nothing(store: Store, make: Make) -> None:
    made = make("poet")
    assert store.copy("poet", "Poet") == made == store.resolve("poet")
    assert store.blobs.exists(of_bytes(b"weights"))


def test_copying_a_missing_model_says_which(store: Store) -> None:
    with pytest.raises(ModelNotFound, match=r'^model "nobody" not found$'):
        store.copy("nobody", "x")
    with pytest.raises(InvalidName):
        store.copy("nobody", "../x")


def test_deleting_removes_manifest_empty_folders_and_unshared_blobs(store: Store, make: Make) -> None:
    make("hf.co/ann/poet", weights=b"own", system=b"shared")
    make("muse", weights=b"other", system=b"shared")
    report = store.delete("HF.co/ann/Poet")
    assert report.removed == [str(of_bytes(b"own"))]
    assert report.freed == 3
    assert shown(store) == ["muse:latest"]
    assert os.listdir(store.root / "manifests") == ["registry.ollama.ai"]
    assert store.blobs.exists(of_bytes(b"shared"))
    store.delete("muse")
    assert blob_names(store) == set()
    assert (store.root / "manifests").is_dir()


Litter = Callable[[Path], object]


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize(
    ("name", "litter"),
    [
        (".DS_Store", lambda path: path.write_bytes(b"\x00\x01")),
        ("stray", lambda path: path.write_bytes(b"not json")),
        ("naïve name!", lambda path: path.write_bytes(b"{}")),
        ("folder", lambda path: (path / "a" / "b").mkdir(parents=True)),
        (".folder", lambda path: (path / "a" / "b").mkdir(parents=True)),
        ("empty", lambda path: path.write_bytes(b"")),
        ("half", lambda path: path.write_bytes(b'{"schemaVersion":2,"mediaTy')),
        ("huge", lambda path: path.write_bytes(b" " * ((4 << 20) + 1))),
        ("sparse", lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40)),
        ("fifo", os.mkfifo),
        ("dangling", lambda path: path.symlink_to("/nowhere/at/all")),
        ("loop", lambda path: path.symlink_to(path.name)),
        ("etc", lambda path: path.symlink_to("/etc")),
        ("passwd", lambda path: path.symlink_to("/etc/passwd")),
        ("up", lambda path: path.symlink_to("../../../../..")),
    ],
)
def test_whatever_lies_wherever_the_list_goes_on(
    store: Store, make: Make, depth: int, name: str, litter: Litter
) -> None:
    made = make("poet")
    place = store.root.joinpath("manifests", "registry.ollama.ai", "library", "poet", "latest")
    if depth == 4:  # in the place of a tag's file, in a model's folder of its own
        (place.parent.parent / "other").mkdir()
        litter(place.parent.parent / "other" / name)
    else:
        litter(Path(*place.parts[: -4 + depth]) / name)
    assert store.list() == [made]
    assert store.resolve("poet") == made
    store.prune(older_than=0)
    store.delete("poet")
    assert store.list() == []


def test_what_is_passed_over_is_said_once_and_why(store: Store, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    make("poet")
    (store.root / LIBRARY / "poet" / "half").write_bytes(b'{"schema')
    with caplog.at_level(logging.WARNING):
        store.list()
        store.list()
    assert [record.getMessage().split(" is passed over: ")[1][:22] for record in caplog.records] == [
        "the manifest is broken"
    ]


def test_a_broken_manifest_is_an_error_only_for_who_asks_for_it(store: Store, make: Make) -> None:
    make("poet")
    broken = store.root / LIBRARY / "poet" / "half"
    broken.write_bytes(b"")
    with pytest.raises(StoreError, match="model 'poet:half' cannot be read: the manifest is empty") as caught:
        store.resolve("poet:half")
    assert "poet:half" in caught.value.hint
    assert store.unreadable() == ["poet:half"]
    store.delete("poet:half")
    assert shown(store) == ["poet:latest"]


def test_while_a_manifest_is_broken_no_blob_is_removed_with_another_model(store: Store, make: Make) -> None:
    make("poet")
    make("muse", weights=b"other")
    (store.root / LIBRARY / "muse" / "latest").write_bytes(b'{"half')
    assert store.delete("poet").removed == []
    assert store.blobs.exists(of_bytes(b"other"))


@pytest.mark.parametrize(
    "digest", ["sha256:../../../../../../etc/passwd", "../../secret", "", "sha256-" + "a" * 63 + "/", "/etc/passwd"]
)
def test_a_traversing_digest_in_a_manifest_reaches_no_file(store: Store, make: Make, digest: str) -> None:
    made = make("poet")
    secret = store.root.parent / "secret"
    secret.write_bytes(b"secret")
    document = media.encode_manifest(made.manifest).replace(made.manifest.layers[0].digest.encode(), digest.encode())
    (store.root / LIBRARY / "poet" / "evil").write_bytes(document)
    assert shown(store) == ["poet:latest"]
    with pytest.raises(StoreError, match="invalid digest"):
        store.resolve("poet:evil")
    with pytest.raises(StoreError, match="invalid digest"):
        store.put_manifest("evil", document)
    store.delete("poet:evil")
    assert secret.read_bytes() == b"secret"


def test_a_model_behind_a_link_out_of_the_store_is_neither_read_nor_written(
    store: Store, make: Make, tmp_path: Path
) -> None:
    make("poet")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "latest").write_bytes((store.root / LIBRARY / "poet" / "latest").read_bytes())
    (store.root / LIBRARY / "linked").symlink_to(outside)
    assert shown(store) == ["poet:latest"]
    with pytest.raises(StoreError, match="leads out of the store"):
        store.resolve("linked")
    with pytest.raises(StoreError, match="leads out of the store"):
        make("linked:new")
    assert os.listdir(outside) == ["latest"]


def test_a_link_inside_the_store_is_followed(store: Store, make: Make) -> None:
    made = make("poet")
    (store.root / LIBRARY / "alias").symlink_to("poet")
    assert store.resolve("alias").digest == made.digest
    assert sorted(shown(store)) == ["alias:latest", "poet:latest"]


def test_a_root_that_is_itself_a_link_is_the_users_choice(store: Store, make: Make, tmp_path: Path) -> None:
    made = make("poet")
    (tmp_path / "link").symlink_to(store.root)
    assert Store(tmp_path / "link").list() == [made]


def test_a_model_name_is_as_good_as_its_text(store: Store, make: Make) -> None:
    made = make("poet")
    assert store.resolve(parse("poet")) == made
    with pytest.raises(ModelNotFound, match="model 'muse:latest' not found"):
        store.resolve(parse("muse"))


def test_a_write_that_fails_leaves_the_old_manifest_and_nothing_else(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make("poet")
    longer = Manifest(config=made.manifest.config, layers=[*made.manifest.layers] * 50)

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) < 1000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return 1000

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(StoreError, match=r"cannot write .*poet/latest: No space left"):
        store.put_manifest("poet", longer)
    with pytest.raises(StoreError, match="No space left"):
        store.put_manifest("new", longer)
    monkeypatch.undo()
    assert store.list() == [made]
    assert os.listdir(store.root / LIBRARY / "poet") == ["latest"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to tell what a descriptor is")
def test_files_are_synced_before_they_take_their_place_and_the_folder_after(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    make("poet")
    assert done == ["file", "rename", "folder"] * 3  # weights, config, manifest
