"""What is saved from one store and loaded into another is the same, to the byte."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

import msgspec
import pytest

from ollama_engine.bundle import load, plan_save
from ollama_engine.bundle.members import members
from ollama_engine.errors import InvalidName, ModelNotFound, StoreError
from ollama_engine.store import Store
from ollama_engine.store import manifest as media
from tests.engine.bundle.conftest import WEIGHTS, Bundle, files_of, loaded, make, saved


def test_a_loaded_model_is_the_same_to_the_byte(store: Store, other: Store) -> None:
    make(store, "story")
    make(store, "registry.example.org/me/tale:q4", system=b"Be long.")
    states = loaded(other, saved(store, "story", "registry.example.org/me/tale:q4"))
    assert {(one.name, one.state) for one in states} == {
        ("story:latest", "new"),
        ("registry.example.org/me/tale:q4", "new"),
    }
    assert files_of(other) == files_of(store)
    assert {one.digest for one in states} == {entry.digest for entry in store.list()}


def test_the_same_models_give_the_same_bytes_in_any_order(store: Store, other: Store) -> None:
    make(store, "a")
    make(store, "b", system=b"another")
    data = saved(store, "a", "b", "A:latest")
    loaded(other, data)
    assert saved(other, "b", "a") == data
    assert plan_save(store, ["a", "b"]).size == len(data)


def test_what_models_share_is_in_the_bundle_once_and_tar_can_read_it(store: Store) -> None:
    make(store, "a")
    make(store, "b", system=b"another")
    with tarfile.open(fileobj=io.BytesIO(saved(store, "a", "b"))) as tar:
        names = tar.getnames()
        index = msgspec.json.decode(tar.extractfile("index.json").read())  # type: ignore[union-attr]
        for name in names[2:]:
            content = tar.extractfile(name).read()  # type: ignore[union-attr]
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    assert names[:2] == ["oci-layout", "index.json"]
    assert len(names) == len(set(names)) == 2 + 2 + 4
    assert [one["annotations"]["org.opencontainers.image.ref.name"] for one in index["manifests"]] == [
        "registry.ollama.ai/library/a:latest",
        "registry.ollama.ai/library/b:latest",
    ]


def test_blobs_that_are_here_are_not_written_again(store: Store, other: Store) -> None:
    make(store, "story")
    make(other, "mine", system=b"Mine.")
    before = {path.name: path.stat().st_ino for path in other.blobs.folder.iterdir()}
    file = io.BufferedReader(io.BytesIO(saved(store, "story")))  # type: ignore[arg-type]
    told = [step.status for step in load(other, file) if hasattr(step, "status")]  # type: ignore[union-attr]
    assert sum(status.startswith("already here") for status in told) == 2
    after = {path.name: path.stat().st_ino for path in other.blobs.folder.iterdir()}
    assert before.items() <= after.items()


def test_a_blob_of_the_wrong_length_is_replaced(store: Store, other: Store) -> None:
    make(store, "story")
    path = other.blobs.path(f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"short")
    loaded(other, saved(store, "story"))
    assert path.read_bytes() == WEIGHTS


def test_a_model_of_that_name_is_replaced_or_kept(store: Store, other: Store) -> None:
    make(store, "story")
    make(other, "Story", weights=b"other", system=b"Old.")
    before = files_of(other)
    data = saved(store, "story")
    assert [one.state for one in loaded(other, data, keep=True)] == ["kept"]
    assert files_of(other) == before
    assert [one.state for one in loaded(other, data)] == ["replaced"]
    assert other.resolve("story").digest == store.resolve("story").digest
    assert [one.state for one in loaded(other, data)] == ["same"]


def test_a_gzipped_bundle_loads_and_one_model_can_be_given_a_name(store: Store, other: Store) -> None:
    make(store, "a")
    make(store, "b", system=b"another")
    assert loaded(other, gzip.compress(saved(store, "a")), name="me/mine:1")[0].name == "me/mine:1"
    with pytest.raises(InvalidName, match="2 models"):
        loaded(other, saved(store, "a", "b"), name="mine")


def test_other_tools_layouts_load(other: Store) -> None:
    """As docker writes them: folders, blobs first, the index last, the tag alone as name, files of its own."""
    bundle = Bundle()
    for folder in ("./", "blobs/", "./blobs/sha256/"):
        bundle.add(folder, kind=tarfile.DIRTYPE)
    manifest = bundle.add_model()
    bundle.add("manifest.json", b"[]")
    bundle.add_index(("8b", manifest), **{"io.containerd.image.name": "registry.example.org/me/story:8b"})
    bundle.add_layout()
    assert loaded(other, bundle.bytes())[0].name == "registry.example.org/me/story:8b"
    assert other.resolve("registry.example.org/me/story:8b").digest == manifest.digest.removeprefix("sha256:")


def test_a_file_beyond_eight_gigabytes_is_told_by_an_extended_header(store: Store) -> None:
    """No such file is made: the plan and its headers alone are looked at, with a sparse blob in the store."""
    make(store, "story")
    size = 9 << 30
    entry = store.resolve("story")
    path = store.blobs.path(entry.manifest.layers[0].digest)
    with path.open("r+b") as file:
        file.truncate(size)
    layer = msgspec.structs.replace(entry.manifest.layers[0], size=size)
    manifest = msgspec.structs.replace(entry.manifest, layers=[layer])
    store.put_manifest("large", manifest)
    chunks = plan_save(store, ["large"]).chunks()
    start = b"".join(next(chunks) for _ in range(7))
    # The small files stand first, then the header of the large one.
    with tarfile.open(fileobj=io.BytesIO(start), mode="r|") as tar:
        assert [info.size for info in (tar.next() for _ in range(4)) if info][-1] == size
    ours = members(io.BufferedReader(io.BytesIO(start)))  # type: ignore[arg-type]
    assert [next(ours).size for _ in range(4)][-1] == size


@pytest.mark.parametrize("harm", ["missing", "short", "changed"])
def test_a_spoilt_blob_is_not_saved(store: Store, harm: str) -> None:
    make(store, "story")
    path = store.blobs.path(store.resolve("story").manifest.layers[0].digest)
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(WEIGHTS[:-1] + (b"" if harm == "short" else b"x"))
    with pytest.raises(StoreError, match=str(store.resolve("story").manifest.layers[0].digest)):
        saved(store, "story")


def test_a_model_that_is_not_here_is_named(store: Store) -> None:
    with pytest.raises(ModelNotFound, match="absent"):
        plan_save(store, ["absent"])


def test_a_manifest_without_model_layers_is_no_model(other: Store) -> None:
    bundle = Bundle()
    bundle.add_layout()
    bundle.add_index(("alpine:latest", bundle.add_model(media_type="application/vnd.oci.image.layer.v1.tar+gzip")))
    with pytest.raises(Exception, match="is not a model"):
        loaded(other, bundle.bytes())
    assert media.MODEL not in str(files_of(other))
